# Everything in it is for other compiled modules.
