"""A character device in front of a socket: prints the path of a raw pseudo terminal and passes bytes both ways.

The socket is opened anew for each command and closed after its answer, as a TPM serves one connection at a time.
"""

import os
import pty
import socket
import struct
import sys
import tty


def read_whole(read):
    data = b""
    while len(data) < 10 or len(data) < struct.unpack(">I", data[2:6])[0]:
        part = read()
        if not part:
            raise SystemExit(0)
        data += part
    return data


master, slave = pty.openpty()
tty.setraw(slave)
print(os.ttyname(slave), flush=True)
while True:
    command = read_whole(lambda: os.read(master, 4096))
    with socket.socket(socket.AF_UNIX) as tpm:
        tpm.connect(sys.argv[1])
        tpm.sendall(command)
        answer = read_whole(lambda: tpm.recv(4096))
    os.write(master, answer)
