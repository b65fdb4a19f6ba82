"""The hub and what runs on it: deadlines, request greenlets, log writers. Knows no protocol."""
