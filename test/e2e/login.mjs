// Logs in by an OpenID provider in a headless browser, and tries what pages may do then.
// Standard input is what to do, standard output what came of it, both JSON.

import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

const ask = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({ executablePath: ask.browser, env: { ...process.env, HOME: ask.home } });

// call makes a call from the page: ours, or that of another site.
const call = (page, path, headers, credentials) => page.evaluate(async ([url, h, c]) => {
  try {
    const r = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...h }, body: '{}', credentials: c });
    return { status: r.status, body: await r.text() };
  } catch (e) {
    return { status: 0, body: String(e) };
  }
}, [ask.server + path, headers, credentials]);

try {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(ask.patience);
  await page.goto(`${ask.server}/login/oidc`);
  await page.fill('[name=login]', ask.user);
  await page.fill('[name=password]', 'any');
  await Promise.all([page.waitForNavigation(), page.click('[type=submit]')]);
  await page.click('[type=submit]'); // what the client may know
  const result = {};
  if (ask.refused) {
    await page.waitForSelector('#why');
    result.why = await page.textContent('#why');
    result.again = await page.getAttribute('#again', 'href');
  } else {
    await page.waitForURL(`${ask.server}/login/session`);
    result.session = JSON.parse(await page.evaluate(() => document.body.innerText));
    await page.goto(`${ask.server}/healthz`); // a page of the server that may load things
    const csrf = { 'x-millrace-csrf': result.session.Csrf };
    result.cookies = (await context.cookies(ask.server)).map(({ name, httpOnly, secure, sameSite, path }) => ({ name, httpOnly, secure, sameSite, path }));
    result.visible = await page.evaluate(() => document.cookie);
    result.call = await call(page, '/listStreams', csrf, 'same-origin');
    result.without = await call(page, '/listStreams', {}, 'same-origin');
    const other = await context.newPage(); // the provider is another site
    await other.goto(ask.other);
    result.foreign = await call(other, '/listStreams', csrf, 'include');
    result.logout = await call(page, '/login/logout', csrf, 'same-origin');
    result.after = await call(page, '/listStreams', csrf, 'same-origin');
  }
  process.stdout.write(JSON.stringify(result));
} finally {
  await browser.close();
}
