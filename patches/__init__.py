"""Makes other people's blocking code yield to the hub, and reports what cannot."""
