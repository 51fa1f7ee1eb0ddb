//! `openai-key`: get, set, status and exec for the OpenAI key.

fn main() {}
