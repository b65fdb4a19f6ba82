"""Applications as the users of each WebSocket library write them. `/` is HTTP beside the WebSocket at `/echo`."""
