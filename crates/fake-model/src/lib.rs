//! A scripted OpenAI Responses API server on loopback, for tests and the demo.
