"""What a recipient reads: templates, languages, and the message that carries them."""
