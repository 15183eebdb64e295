#!/usr/bin/env python3
"""Calls over TCP or TLS without bodies, to load a proxy between two of these.

  streams.py callee PORT [FOLDER]                          answers every call with 180 and 200, and every BYE with 200
  streams.py caller PORT SECONDS RATE WINDOW [FOLDER]      places calls over one connection: RATE a second, or as many as
                                                           go with WINDOW of them open if it is 0; prints how many
                                                           were completed and in what time

FOLDER holds certificate.pem and key.pem: with it, TLS. Six messages a call cross the proxy.
"""
import os
import re
import select
import socket
import ssl
import sys
import threading
import time

HOST = "127.0.0.1"
RESPONSE = re.compile(rb"SIP/2\.0 200 .*?\r\nCall-ID: (\d+)-.*?\r\nCSeq: \d+ (INVITE|BYE)\r\n", re.S)
TO = b"\r\nTo: <sip:load@example.com>"


def talk(one, data):
    """What the callee says to some requests."""
    out = []
    for request in data:
        method, rest = request.split(b" ", 1)
        if method == b"ACK":
            continue
        rest = rest.split(b"\r\n", 1)[1] + b"\r\n\r\n"
        if method == b"INVITE":
            rest = rest.replace(TO, TO + b";tag=1", 1)
            out.append(b"SIP/2.0 180 Ringing\r\n" + rest)
        out.append(b"SIP/2.0 200 OK\r\n" + rest)
    if out:
        one.sendall(b"".join(out))


def callee(port, folder):
    listening = socket.create_server((HOST, port), backlog=64)
    context = None
    if folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + "/certificate.pem", folder + "/key.pem")

    def serve(one):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            one = context.wrap_socket(one, server_side=True) if context else one
            left = b""
            while data := one.recv(65536):
                *whole, left = (left + data).split(b"\r\n\r\n")
                talk(one, [each.lstrip(b"\r\n") for each in whole if each.strip()])
        except OSError as error:
            print(error, file=sys.stderr)

    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()


def caller(port, seconds, rate, window, folder):
    one = socket.create_connection((HOST, port), timeout=5)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    local, transport = one.getsockname()[1], "TLS" if folder else "TCP"
    if folder:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(folder + "/certificate.pem")
        one = context.wrap_socket(one, server_hostname=HOST)
    run = os.getpid()

    def request(method, number, tag=""):
        return (f"{method} sip:load@example.com SIP/2.0\r\n"
                f"Via: SIP/2.0/{transport} {HOST}:{local};branch=z9hG4bK{run}{method[0]}{number}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:caller@example.com>;tag={number}\r\nTo: <sip:load@example.com>{tag}\r\nCall-ID: {number}-{run}\r\n"
                f"CSeq: {2 if method == 'BYE' else 1} {method}\r\nContact: <sip:caller@{HOST}:{local}>\r\n"
                f"User-Agent: load\r\nContent-Length: 0\r\n\r\n")

    begun = time.monotonic()
    last, started, done, left = begun, 0, 0, b""
    while True:
        now = time.monotonic()
        late = now > begun + seconds
        if late and (done == started or now > begun + seconds + 5):
            break
        due = 0 if late else (int((now - begun) * rate) if rate else done + window) - started
        if due > 0:
            one.sendall("".join(request("INVITE", started + n) for n in range(due)).encode())
            started += due
        if not (folder and one.pending()) and not select.select([one], [], [], 0.002)[0]:
            continue
        one.settimeout(0.05)
        try:
            data = one.recv(65536)
        except TimeoutError:
            continue  # something of TLS's own
        finally:
            one.settimeout(5)
        if not data:
            break
        left += data
        end = left.rfind(b"\r\n\r\n") + 4
        whole, left = left[:end], left[end:]
        more = []
        for response in whole.split(b"\r\n\r\n"):
            known = RESPONSE.match(response + b"\r\n")
            if not known:
                continue
            if known[2] == b"BYE":
                done += 1
                last = time.monotonic()
            else:
                number = int(known[1])
                more.append(request("ACK", number, ";tag=1") + request("BYE", number, ";tag=1"))
        if more:
            one.sendall("".join(more).encode())
    print(f"{started} {done} {last - begun:.3f}")


if sys.argv[1] == "callee":
    callee(int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
else:
    port, seconds, rate, window, *folder = sys.argv[2:]
    caller(int(port), float(seconds), float(rate), int(window), folder[0] if folder else None)
