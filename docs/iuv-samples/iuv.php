<?php
// Registers a signed-in user with the web store; gives back the URL to send the browser to.

final class IuvRefused extends RuntimeException {}      // 400: something that was sent is wrong
final class IuvUnavailable extends RuntimeException {}  // the store cannot be reached, or is at fault

function iuv_register(array $user): string
{
    $query = http_build_query(
        ['account' => getenv('IUV_ACCOUNT'), 'key' => getenv('IUV_KEY')] + $user,
        '', '&', PHP_QUERY_RFC3986
    );
    $call = curl_init(getenv('IUV_URL') . '/WebStore/Security/AuthenticateUser.aspx?' . $query);
    curl_setopt_array($call, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FOLLOWLOCATION => false,
        CURLOPT_CONNECTTIMEOUT => 5,
        CURLOPT_TIMEOUT => 20,
    ]);
    $body = curl_exec($call);
    $status = curl_getinfo($call, CURLINFO_RESPONSE_CODE);
    if ($status === 200) {
        return $body;
    }
    if ($status === 400) {
        throw new IuvRefused($body);
    }
    // Not curl_error(): it may name the whole address, with the key.
    throw new IuvUnavailable('the store answered ' . ($status ?: 'nothing'));
}

// In your page: header('Location: ' . iuv_register($user), true, 302); exit;
if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    parse_str(implode('&', array_map(fn($pair) => implode('=', array_map('rawurlencode', explode('=', $pair, 2))),
        array_slice($argv, 1))), $user);
    try {
        echo iuv_register($user), "\n";
    } catch (RuntimeException $why) {
        fwrite(STDERR, get_class($why) . ': ' . str_replace('|', "\n", $why->getMessage()) . "\n");
        exit(1);
    }
}
