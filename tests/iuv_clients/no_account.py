"""As old clients do: no account, the caller's address says who it is. urllib, names in capitals, everything quoted."""
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

pairs = [("KEY", os.environ["IUV_KEY"])] + [tuple(pair.split("=", 1)) for pair in sys.argv[1:]]
query = "&".join(f"{name.upper()}={urllib.parse.quote(value, safe='')}" for name, value in pairs)
try:
    answer = urllib.request.urlopen(f"{os.environ['IUV_URL']}/webstore/security/authenticateuser.aspx?{query}")
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code} {error.read().decode()}")
url = answer.read().decode("ascii")
if not url.startswith("https"):
    sys.exit(f"no URL: {url}")
sys.stdout.write(url)
