#!/usr/bin/env python3
"""Registers a signed-in user with the web store; gives back the URL to send the browser to."""

import os
import sys
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    """400: something that was sent is wrong; what, in the store's words."""


class Unavailable(Exception):
    """The store cannot be reached, or is at fault."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def register(user):
    query = urllib.parse.urlencode({"account": os.environ["IUV_ACCOUNT"], "key": os.environ["IUV_KEY"], **user})
    url = f"{os.environ['IUV_URL']}/WebStore/Security/AuthenticateUser.aspx?{query}"
    try:
        with urllib.request.build_opener(NoRedirect).open(url, timeout=20) as answer:
            if answer.status == 200:
                return answer.read().decode()
            raise Unavailable(f"the store answered {answer.status}")
    except urllib.error.HTTPError as answer:
        if answer.code == 400:
            raise Refused(answer.read().decode()) from None
        raise Unavailable(f"the store answered {answer.code}") from None
    except OSError:
        # What went wrong may name the whole address, with the key.
        raise Unavailable("the store does not answer") from None


# In your view (Django): return HttpResponseRedirect(register(user))
if __name__ == "__main__":
    try:
        print(register(dict(pair.split("=", 1) for pair in sys.argv[1:])))
    except (Refused, Unavailable) as why:
        sys.exit(f"{type(why).__name__}: {str(why).replace('|', chr(10))}")
