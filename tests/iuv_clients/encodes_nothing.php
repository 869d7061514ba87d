<?php
// Glues the address together and encodes nothing; takes the answer only if the status line is to the letter. Asks by
// HTTP/1.0, as PHP did before version 8.
$url = getenv('IUV_URL') . '/WebStore/Security/AuthenticateUser.aspx?account=' . getenv('IUV_ACCOUNT') . '&key=' . getenv('IUV_KEY');
foreach (array_slice($argv, 1) as $pair) {
    $url .= '&' . $pair;
}
$body = @file_get_contents($url, false, stream_context_create(['http' => ['ignore_errors' => true, 'protocol_version' => '1.0']]));
if ($http_response_header[0] != 'HTTP/1.1 200 OK') {
    fwrite(STDERR, $http_response_header[0] . "\n" . $body . "\n");
    exit(1);
}
echo $body;
