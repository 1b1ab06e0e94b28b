Reads and messages grow from 16 KiB to 1 MiB while a flow keeps filling them, and shrink when it rests: large transfers cost fewer calls and fewer frames, idle connections no buffer at all.
