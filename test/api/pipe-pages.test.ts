import {existsSync} from 'node:fs';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type Browser, chromium, type Page} from 'playwright-core';
import {createPipeWorld, RawClient, untilStatus} from '../helpers/pipe-world.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((path) => existsSync(path));
const withBrowser = executablePath === undefined ? test.serial.skip : test.serial;
/** Where somebody wants to look at the pages. */
const screenshots = process.env.SCREENSHOTS;

let browser: Browser | null = null;

test.before(async () => {
  if (executablePath === undefined) {
    console.log('SKIP pages: neither Chromium nor Chrome is installed');
    return;
  }
  browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-background-networking'],
  });
});

test.after.always(() => browser?.close());

/** `complaints` gathers what goes wrong in the page. */
async function openPage(t: ExecutionContext): Promise<{page: Page; complaints: string[]}> {
  if (browser === null) throw new Error('no browser');
  const context = await browser.newContext({viewport: {width: 800, height: 640}});
  t.teardown(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', ({message}) => complaints.push(message));
  page.on('console', (message) => {
    // At the root of the address of all kits there is no icon.
    if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico'))
      complaints.push(`${message.text()} ${message.location().url}`);
  });
  return {page, complaints};
}

async function look(page: Page, name: string): Promise<void> {
  if (screenshots !== undefined) await page.screenshot({path: join(screenshots, `${name}.png`)});
}

withBrowser('the send page sends a file with its name and shows what the server says', async (t) => {
  const {common} = await createPipeWorld(t);
  const directory = await mkdtemp(join(tmpdir(), 'bt-page-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  await writeFile(join(directory, 'naïve.txt'), 'from the page');
  const {page, complaints} = await openPage(t);
  await page.goto(common);
  await look(page, 'send');
  await page.getByLabel('Path, the same for all receivers').fill('from/page');
  await page.getByLabel('File').setInputFiles(join(directory, 'naïve.txt'));
  await page.getByRole('button', {name: 'Send'}).click();
  await page.getByText('Waiting for 1 receiver(s)').waitFor();
  await look(page, 'send-waiting');
  const answer = await fetch(`${common}/from/page`);
  t.is(await answer.text(), 'from the page');
  t.is(
    answer.headers.get('content-disposition'),
    'attachment; filename="na_ve.txt"; filename*=UTF-8\'\'na%C3%AFve.txt',
  );
  await page.locator('#log.complete').waitFor();
  t.true((await page.locator('#log').textContent())?.endsWith('[INFO] Transfer complete.\n'));
  await look(page, 'send-complete');
  t.deepEqual(complaints, []);
});

withBrowser('the page without scripts sends text by a form', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  await page.goto(`${common}/noscript?path=typed/text&mode=text`);
  await look(page, 'noscript');
  const received = fetch(`${common}/typed/text`).then((response) => response.text());
  await page.locator('textarea').fill('typed');
  await page.getByRole('button', {name: 'Send'}).click();
  t.is(await received, 'typed');
  await page.getByText('Transfer complete.').waitFor();
  t.deepEqual(complaints, []);
});

withBrowser('the progress page follows a transfer to its end and says who the others wait for', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  await page.goto(`${common}/watched?progress`);
  await page.getByText('Nobody is here yet.').waitFor();
  const fast = await RawClient.open(common, 'GET', '/watched?n=2&as=bob');
  await untilStatus(common, '/watched', ({activeReceivers}) => activeReceivers === 1);
  await page.getByText('Waiting for the others.').waitFor();
  const slow = await RawClient.open(common, 'GET', '/watched?n=2&as=alice');
  slow.pause();
  const sender = await RawClient.open(common, 'PUT', '/watched?n=2', {
    headers: {'Content-Length': '40000000'},
  });
  await sender.until('Streaming');
  sender.write(Buffer.alloc(40_000_000));
  await page.getByRole('row', {name: /alice .* others wait for this one/}).waitFor();
  await look(page, 'progress-blocked');
  slow.resume();
  await Promise.all([fast.untilBytes(40_000_000), slow.untilBytes(40_000_000)]);
  await page.getByText(/^Complete: 38\.1 MB in /).waitFor();
  await look(page, 'progress-complete');
  t.deepEqual(complaints, []);
});

withBrowser('what a sender calls HTML is not run', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  const sent = fetch(`${common}/evil`, {
    method: 'POST',
    body: '<script>document.title = "run"</script>',
    headers: {'Content-Type': 'text/html'},
  });
  await page.goto(`${common}/evil`);
  await sent;
  t.is(await page.title(), '');
  t.true((await page.textContent('body'))?.includes('<script>'));
  t.deepEqual(complaints, []);
});
