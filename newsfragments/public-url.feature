A router that is not told its ``public-url`` takes the address of its first listener, with the real port, for the URLs that it hands out.
