<?php
// The cURL extension, a query in PHP's own manner (+ for blanks), and a look at what came back.
parse_str(implode('&', array_map(fn($pair) => str_replace('%3D', '=', rawurlencode($pair)), array_slice($argv, 1))), $user);
$user['account'] = getenv('IUV_ACCOUNT');
$user['key'] = getenv('IUV_KEY');
ksort($user);
$call = curl_init(getenv('IUV_URL') . '/WebStore/Security/AuthenticateUser.aspx?' . http_build_query($user));
curl_setopt($call, CURLOPT_RETURNTRANSFER, true);
curl_setopt($call, CURLOPT_FOLLOWLOCATION, true);
curl_setopt($call, CURLOPT_ENCODING, '');
$body = curl_exec($call);
if (curl_getinfo($call, CURLINFO_HTTP_CODE) != 200 || curl_getinfo($call, CURLINFO_REDIRECT_COUNT) != 0) {
    fwrite(STDERR, $body . "\n");
    exit(1);
}
if (substr($body, 0, 5) != 'https' || filter_var($body, FILTER_VALIDATE_URL) === false) {
    fwrite(STDERR, "no URL: $body\n");
    exit(1);
}
echo $body;
