// Posts JSON to the newer address; whatever comes back goes into the browser's Location.
const user = Object.fromEntries(process.argv.slice(2).map((pair) => [pair.split("=", 1)[0], pair.slice(pair.indexOf("=") + 1)]));
const answer = await fetch(process.env.IUV_URL + "/WebStore/Security/AuthenticateUser.ashx", {
  method: "POST",
  headers: { "Content-Type": "application/json; charset=utf-8", Accept: "application/json, text/plain, */*" },
  body: JSON.stringify({ account: process.env.IUV_ACCOUNT, key: process.env.IUV_KEY, ...user }),
});
const body = await answer.text();
if (!answer.ok) {
  console.error(answer.status, body);
  process.exit(1);
}
process.stdout.write(new URL(body).href);
