// A real browser signs in, with two tabs, is refreshed, and signs out.
// node sign_in.mjs NODE_MODULES CHROMIUM KIND RULES TTL: what happened, line by line; an error ends it with 1.
//   KIND   which provider's pages there are: oidc-provider or oidc-provider-mock
//   RULES  where the names of hosts are, for Chromium's --host-resolver-rules
//   TTL    how many seconds an access token lives
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [home, chromium, kind, rules, ttl] = process.argv.slice(2);
const { chromium: driver } = (await import(pathToFileURL(join(home, 'playwright-core/index.mjs')))).default;

const app = 'https://app.example';
const browser = await driver.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--host-resolver-rules=${rules}`],
});
const context = await browser.newContext({ ignoreHTTPSErrors: true });
context.setDefaultTimeout(60_000);

const say = (...words) => console.log(words.join(' '));
function check(holds, what) {
  if (!holds) throw new Error(what);
  say('ok', what);
}

// Goes through the provider's pages as a user does.
async function pass(tab) {
  for (let pages = 0; pages < 4 && !tab.url().startsWith(app); pages += 1) {
    const name = tab.locator(kind === 'oidc-provider' ? 'input[name=login]' : 'input[name=sub]');
    if (await name.count()) await name.fill('alice');
    const password = tab.locator('input[name=password]');
    if (await password.count()) await password.fill('any');
    await Promise.all([tab.waitForNavigation({ waitUntil: 'load' }), tab.locator('button[type=submit], button').first().click()]);
  }
}

const seen = (tab) => tab.evaluate(() => document.body.innerText);
const ours = async () => (await context.cookies(app)).filter(({ name }) => name.startsWith('__Host-session'));
const value = (cookies) => cookies.filter(({ name }) => /^__Host-session(\.\d)?$/.test(name)).map((cookie) => cookie.value).join();

try {
  const one = await context.newPage();
  const two = await context.newPage();
  // Two tabs on their way to the provider at once; the first to leave is the last to come back.
  await one.goto(`${app}/one?a=b`);
  check(!one.url().startsWith(app), 'the first tab is at the provider');
  await two.goto(`${app}/two`);
  check((await ours()).length === 2, 'each tab has an attempt of its own');
  await pass(two);
  check(two.url() === `${app}/two`, 'the second tab is back where it was going');
  check((await seen(two)).includes('subject: alice'), 'the upstream knows who it is');
  await pass(one);
  check(one.url() === `${app}/one?a=b`, 'the first tab is back where it was going');

  const cookies = await ours();
  for (const { name, secure, httpOnly, sameSite, path, domain } of cookies) {
    check(secure && httpOnly && sameSite === 'Lax' && path === '/' && domain === 'app.example', `the browser keeps ${name}`);
  }
  check(!cookies.some(({ name }) => name.includes('.login.')), 'no attempt is left');
  check((await one.evaluate(() => document.cookie)) === '', 'scripts do not see the cookies');

  // A script gets 401 and no redirect once the session is gone; with it, it gets through.
  const fetched = (tab) => tab.evaluate(() => fetch('/x').then(({ status }) => status));
  check((await fetched(one)) === 200, 'a script has the session, too');

  const before = value(await ours());
  await new Promise((done) => { setTimeout(done, Number(ttl) * 1000); });
  const statuses = await Promise.all([fetched(one), fetched(one), fetched(two), fetched(two)]);
  check(statuses.every((status) => status === 200), `parallel requests go on after the token has ended: ${statuses}`);
  const after = value(await ours());
  check(before !== after && after !== '', 'the session was refreshed');
  await one.reload();
  check((await seen(one)).includes('subject: alice'), 'it is the same user');

  // Somewhere else, a link to the sign-out signs nobody out.
  await two.goto('data:text/html,<a href="https://app.example/oauth2/logout">win</a>');
  await Promise.all([two.waitForNavigation(), two.click('a')]);
  check((await seen(two)).includes('Sign out?'), 'a link of another site leads to a question');
  check(value(await ours()) !== '', 'and the session is still there');
  await Promise.all([two.waitForNavigation({ waitUntil: 'load' }), two.click('button')]);
  if (!two.url().startsWith(app)) {
    say('at', two.url().split('?')[0]);
    const yes = two.locator('button[value=yes], button').first();
    if (await yes.count()) await Promise.all([two.waitForNavigation({ waitUntil: 'load' }), yes.click()]);
  }
  check(two.url() === `${app}/goodbye`, `signed out, the browser is back: ${two.url()}`);
  check((await ours()).length === 0, 'no cookie is left');
  check((await fetched(one)) === 401, 'a script gets 401');
  await one.reload();
  check(!one.url().startsWith(app), 'and who loads the page has to sign in');
  say('done');
} catch (error) {
  for (const page of context.pages()) {
    say('page', page.url());
    say(await page.content().catch(() => ''));
  }
  say('failed', error.stack);
  process.exitCode = 1;
} finally {
  await browser.close();
}
