//! Where the OpenAI key comes from, in order; masking; storing.
