"""What comes by radio: signatures, the gateway that judges messages, and the channel that spoils them."""
