"""Has a UDP socket at each address that is named, all with the port that comes first. Says what
comes there ("got ADDRESS DATA"), and for each line "ADDRESS PORT" it reads sends "foreign" to it
from all sockets of that family, in the order of their names."""
import select
import socket
import sys

port = int(sys.argv[1])
sockets = []
for text in sys.argv[2:]:
    s = socket.socket(socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((text, port))
    sockets.append((text, s))
print("ready", flush=True)
while True:
    readable, _, _ = select.select([sys.stdin] + [s for _, s in sockets], [], [])
    for text, s in sockets:
        if s in readable:
            print("got", text, s.recv(2000).decode(), flush=True)
    if sys.stdin in readable:
        words = sys.stdin.readline().split()
        if not words:
            break
        for text, s in sockets:
            if (":" in text) == (":" in words[0]):
                s.sendto(b"foreign", (words[0], int(words[1])))
