<?php
// HTTP/1.0 over a socket, read to its end; no Host, as servers of that time did not ask for one.
$at = parse_url(getenv('IUV_URL'));
$context = stream_context_create(['ssl' => ['cafile' => getenv('IUV_CA'), 'peer_name' => $at['host']]]);
$socket = stream_socket_client("ssl://{$at['host']}:{$at['port']}", $number, $text, 10, STREAM_CLIENT_CONNECT, $context);
$query = 'key=' . getenv('IUV_KEY') . '&account=' . getenv('IUV_ACCOUNT');
foreach (array_slice($argv, 1) as $pair) {
    [$name, $value] = explode('=', $pair, 2);
    $query .= "&$name=" . rawurlencode($value);
}
fwrite($socket, "GET /WebStore/Security/AuthenticateUser.aspx?$query HTTP/1.0\r\n\r\n");
$answer = stream_get_contents($socket);
[$head, $body] = explode("\r\n\r\n", $answer, 2);
if (!preg_match('#^HTTP/1\.[01] 200 #', $head)) {
    fwrite(STDERR, $answer . "\n");
    exit(1);
}
echo $body;
