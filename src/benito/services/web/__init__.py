"""The web page: experiments seen and steered in a browser."""
