"""The kinds of requests that are compared, and what is asked of each."""

import chains
import tokens

HOT_TOKENS = 100  # distinct tokens that take turns where every one was seen before
REFUSED = {"credential": 401, "address": 403, "scope": 403, "limit": 429}

# What a browser sends beside `host` and its credential: 20 header lines with both.
BROWSER = [
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "accept-encoding: gzip, deflate, br, zstd",
    "accept-language: en-GB,en;q=0.9,de;q=0.8",
    "cache-control: max-age=0",
    "cookie: session=3f2a9c17d8e64b0fa1c5; theme=dark; consent=a%3D1%26b%3D0; _ga=GA1.2.1234567890.1700000000",
    "dnt: 1",
    "priority: u=0, i",
    "referer: https://www.example.com/orders?page=3&sort=date",
    'sec-ch-ua: "Chromium";v="141", "Not?A_Brand";v="8"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "sec-fetch-dest: document",
    "sec-fetch-mode: navigate",
    "sec-fetch-site: same-site",
    "sec-fetch-user: ?1",
    "sec-gpc: 1",
    "upgrade-insecure-requests: 1",
    "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
]


class Row:
    """One kind of request. Without an algorithm the credential is an API key.

    `refused` is what it is refused for, one of REFUSED. `goal` is the ratio that is aimed at, None
    for none: to the native chain, on the public route to the bare filter.
    """

    def __init__(self, name, algorithm=None, hot=False, public=False, refused=None, browser=False, upstream=False, http=1, goal=None):
        self.name, self.algorithm, self.hot, self.public = name, algorithm, hot, public
        self.refused, self.browser, self.upstream, self.http, self.goal = refused, browser, upstream, http, goal
        self.tokens = None
        # The load comes from 127.0.0.1: where that is to be refused, the other address is the good one.
        self.allowed, self.denied = chains.ADDRESSES[::-1] if refused == "address" else chains.ADDRESSES

    def chains(self):
        """What is compared, in the order in which it is shown."""
        built = {"no filter": chains.no_filter()}
        if self.public:
            built["bare filter"] = chains.bare_filter()
        built["native"] = chains.native(self)
        if self.hot:
            built["native, cache on"] = chains.native(self, cached=True)
        return built | {"portcullis": chains.portcullis(chains.policy(self), secret=self.has_secret)}

    @property
    def denominator(self):
        return "native, cache on" if self.hot else "bare filter" if self.public else "native"

    @property
    def has_secret(self):
        return bool(self.algorithm and self.algorithm.startswith("HS"))

    def status(self, chain):
        """What a measured request gets from that chain."""
        return 200 if chain in ("no filter", "bare filter") else REFUSED.get(self.refused, 200)

    def prepare(self, count):
        """Mints tokens: `count` of them where none may be seen twice."""
        if self.algorithm:
            self.tokens = tokens.mint(self.algorithm, HOT_TOKENS if self.hot or self.refused else count)

    def environment(self):
        return {chains.SECRET_VARIABLE: self.tokens.secret()} if self.tokens else {}

    def samples(self):
        """A good credential, a forged one, and one without the route's scope."""
        return self.tokens.samples() if self.tokens else (chains.key(1), chains.key(1) + "x", chains.key(0))

    def lines(self):
        """The file of the credentials that take turns."""
        good, forged, unscoped = self.samples()
        if single := {"credential": forged, "scope": unscoped, "limit": good}.get(self.refused):
            return tokens.single(single)
        if self.tokens:
            return self.tokens.first(HOT_TOKENS) if self.hot else self.tokens.path
        return tokens.api_keys()

    def headers(self, line="{line}"):
        """The header lines of a request with that credential."""
        credential = f"authorization: Bearer {line}" if self.algorithm else f"x-api-key: {line}"
        return ([] if self.public else [credential]) + (BROWSER if self.browser else [])

    def demands(self):
        """What every gateway must do, or it does less than the others: what is asked, header lines, from where, status."""
        good, forged, unscoped = map(self.headers, self.samples())
        if self.public:
            return [("without a credential", [], self.allowed, 200), ("from a denied address", [], self.denied, 403)]
        denied = ("from a denied address", good, self.denied, 403)
        if self.refused == "limit":
            return [denied, ("good", good, self.allowed, 200), ("above the limit", good, self.allowed, 429)]
        return [
            denied,
            ("good", good, self.allowed, 200),
            ("without a credential", [], self.allowed, 401),
            ("forged", forged, self.allowed, 401),
            ("without the scope", unscoped, self.allowed, 403),
        ]


ROWS = [
    Row("api key", goal=1.1),
    Row("jwt hot RS256", "RS256", hot=True, goal=0.7),
    Row("jwt hot ES256", "ES256", hot=True, goal=0.7),
    Row("jwt new RS256", "RS256", goal=0.65),
    Row("jwt new ES256", "ES256", goal=0.75),
    Row("jwt new HS256", "HS256", goal=0.65),
    Row("jwt new EdDSA", "EdDSA", goal=1.1),
    Row("jwt new PS256", "PS256"),
    Row("public route", public=True, goal=1.3),
    Row("401 unknown key", refused="credential", goal=2.0),
    Row("401 forged RS256", "RS256", refused="credential", goal=2.0),
    Row("403 address", refused="address", goal=2.0),
    Row("403 scope", refused="scope", goal=2.0),
    Row("429 limit", refused="limit", goal=2.0),
    Row("20-header browser", browser=True, goal=1.1),
    Row("api key, upstream", upstream=True, goal=1.1),
    Row("api key, HTTP/2", http=2, goal=1.1),
    Row("jwt hot RS256, upstream", "RS256", hot=True, upstream=True, goal=0.7),
    Row("jwt hot RS256, HTTP/2", "RS256", hot=True, http=2, goal=0.7),
]
