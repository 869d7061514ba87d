"""The requests library: one session, redirects followed, whatever compression it likes; nothing may stand around the URL."""
import os
import sys

import requests

user = dict(pair.split("=", 1) for pair in sys.argv[1:])
user.update(account=os.environ["IUV_ACCOUNT"], key=os.environ["IUV_KEY"])
with requests.Session() as session:
    answer = session.get(os.environ["IUV_URL"] + "/WebStore/Security/AuthenticateUser.aspx", params=user, timeout=20)
if answer.status_code != requests.codes.ok or answer.history:
    sys.exit(f"{answer.status_code} {answer.text}")
if answer.text != answer.text.strip() or answer.encoding.lower() != "utf-8":
    sys.exit(f"odd: {answer.text!r} {answer.headers}")
sys.stdout.write(answer.text)
