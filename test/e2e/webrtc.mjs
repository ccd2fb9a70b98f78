// Drives a headless browser as the Go tests ask: each line of standard input is a request,
// each line of standard output its answer, with the same id. A request opens a page (url),
// calls a function of its window (method, argument), evaluates an expression, or closes it (close).

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const { executablePath, home, args } = JSON.parse(process.argv[2]);
const browser = await chromium.launch({ executablePath, args, env: { ...process.env, HOME: home } });
const answer = (o) => process.stdout.write(JSON.stringify(o) + '\n');
const pages = new Map();

async function open(url, permissions) {
  const context = await browser.newContext({ permissions });
  context.setDefaultTimeout(0); // the tests have patience of their own
  const page = await context.newPage();
  const said = [];
  page.on('console', (m) => said.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => said.push(`error: ${e.stack}`));
  await page.goto(url);
  return { page, context, said };
}

async function run({ id, page, url, permissions, ready, method, argument, expression, close }) {
  try {
    if (url) {
      pages.set(page, await open(url, permissions));
      if (ready) await pages.get(page).page.waitForFunction(ready);
    }
    const p = pages.get(page);
    let result;
    if (method) result = await p.page.evaluate(([m, a]) => window[m](a), [method, argument]);
    if (expression) result = await p.page.evaluate(expression);
    if (close) {
      await p.context.close();
      pages.delete(page);
    }
    answer({ id, result, said: p.said.slice(-30) });
  } catch (e) {
    answer({ id, error: e.message, said: pages.get(page)?.said.slice(-30) });
  }
}

for await (const line of createInterface({ input: process.stdin })) run(JSON.parse(line));
await browser.close();
process.exit(0);
