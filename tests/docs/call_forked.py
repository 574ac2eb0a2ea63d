"""Have a module run by a process with its libraries: ``python -IS call_forked.py SOCKET MODULE WORDS``.

It runs with the streams, the folder and the variables of this program, which ends as it does; at the
other end of the socket is ``execute_page.py``.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    message = json.dumps([os.getcwd(), dict(os.environ), *sys.argv[2:]])
    socket.send_fds(server, [message.encode()], [0, 1, 2])
    status = server.recv(1)
# Nothing comes from a process that was killed.
sys.exit(status[0] if status else 1)
