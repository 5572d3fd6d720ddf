"""Engines behind an API of OpenAI's form: what is known of them, and how they are asked."""
