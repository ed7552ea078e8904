"""What a method speaks into: channels, what arrives on them, and how bits are accounted."""
