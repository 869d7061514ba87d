// Registers a signed-in user with the web store; gives back the URL to send the browser to.

import { pathToFileURL } from "node:url";

export class Refused extends Error {} // 400: something that was sent is wrong
export class Unavailable extends Error {} // the store cannot be reached, or is at fault

export async function register(user) {
  const url = new URL("/WebStore/Security/AuthenticateUser.aspx", process.env.IUV_URL);
  url.search = new URLSearchParams({ account: process.env.IUV_ACCOUNT, key: process.env.IUV_KEY, ...user });
  let answer, body;
  try {
    answer = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(20_000) });
    body = await answer.text();
  } catch {
    // What went wrong may name the whole address, with the key.
    throw new Unavailable("the store does not answer");
  }
  if (answer.status === 200) return body;
  if (answer.status === 400) throw new Refused(body);
  throw new Unavailable(`the store answered ${answer.status}`);
}

// In your handler (Express): response.redirect(302, await register(user));
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const pairs = process.argv.slice(2).map((pair) => [pair.split("=", 1)[0], pair.slice(pair.indexOf("=") + 1)]);
  try {
    console.log(await register(Object.fromEntries(pairs)));
  } catch (why) {
    console.error(`${why.constructor.name}: ${why.message.replaceAll("|", "\n")}`);
    process.exit(1);
  }
}
