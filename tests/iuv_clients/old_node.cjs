// As Node was written ten years ago: callbacks, url.parse, querystring; the body is put together piece by piece.
const https = require("https");
const querystring = require("querystring");
const url = require("url");

const user = { account: process.env.IUV_ACCOUNT, key: process.env.IUV_KEY };
process.argv.slice(2).forEach(function (pair) {
  user[pair.split("=", 1)[0]] = pair.slice(pair.indexOf("=") + 1);
});
const options = url.parse(process.env.IUV_URL + "/WebStore/Security/AuthenticateUser.aspx?" + querystring.stringify(user));
options.agent = false;
https
  .get(options, function (answer) {
    let body = "";
    answer.on("data", function (piece) {
      body += piece;
    });
    answer.on("end", function () {
      if (answer.statusCode !== 200 || !/^https:\/\/[^\s]+$/.test(body)) {
        console.error(answer.statusCode, body);
        process.exit(1);
      }
      process.stdout.write(body);
    });
  })
  .on("error", function (error) {
    console.error(error);
    process.exit(1);
  });
