import {randomBytes} from 'node:crypto';
import {existsSync} from 'node:fs';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type Browser, chromium, type Page} from 'playwright-core';
import {createPipeWorld, gatewayContainer, RawClient, untilStatus} from '../helpers/pipe-world.ts';

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

withBrowser('the share page gives the lines that the others need, and they work', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  await page.goto(`${common}/logs/today?share&n=2&key=a%26b`);
  await look(page, 'share');
  const address = `${common}/logs/today?n=2&key=a%26b`;
  t.is(await page.getByLabel('To receive in a terminal').inputValue(), `curl '${address}'`);
  t.is(await page.getByLabel('To send').inputValue(), `curl -T FILE '${address}'`);
  t.is(await page.getByLabel('To receive in a browser').inputValue(), `${address}&receive`);
  t.is(await page.getByLabel('To watch').inputValue(), `${common}/logs/today?key=a%26b&progress`);
  t.like(await (await fetch(`${common}/logs/today?status`)).json(), {state: 'idle'});
  t.deepEqual(complaints, []);
});

withBrowser('the receive page takes a place when told to, and shows text as it comes', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  await page.goto(`${common}/replay?receive&n=2&as=ada`);
  await look(page, 'receive');
  t.like(await (await fetch(`${common}/replay?status`)).json(), {state: 'idle'});
  await page.getByRole('button', {name: 'Receive here'}).click();
  await untilStatus(common, '/replay', ({activeReceivers}) => activeReceivers === 1);
  const terminal = await RawClient.open(common, 'GET', '/replay?n=2');
  const sender = await RawClient.open(common, 'PUT', '/replay?n=2', {
    headers: {'Transfer-Encoding': 'chunked', 'Content-Disposition': 'attachment; filename="incident.log"'},
  });
  // In the middle of a character.
  const line = Buffer.from('07:23:17 INFO ··· auto-rollback armed\n');
  sender.writeChunkBytes(line.subarray(0, 15));
  await page.getByText('07:23:17 INFO').waitFor();
  sender.writeChunkBytes(line.subarray(15));
  await page.getByText('··· auto-rollback armed').waitFor();
  await look(page, 'receive-streaming');
  sender.endChunks();
  await terminal.untilOver();
  const saved = page.waitForEvent('download');
  await page.getByRole('link', {name: 'Save incident.log'}).click();
  t.deepEqual(await readFile(await (await saved).path()), line);
  await look(page, 'receive-complete');
  t.deepEqual(complaints, []);
});

withBrowser('the receive page says when what came is not all of it', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page} = await openPage(t);
  await page.goto(`${common}/cut?receive&autostart`);
  await untilStatus(common, '/cut', ({activeReceivers}) => activeReceivers === 1);
  const sender = await RawClient.open(common, 'PUT', '/cut', {headers: {'Transfer-Encoding': 'chunked'}});
  sender.writeChunk('begin');
  await page.getByText('begin').waitFor();
  sender.leave();
  await page.getByText(/^The transfer broke off: what came is not all of it\./).waitFor();
  await look(page, 'receive-cut');
  t.is(await page.locator('a').count(), 0);
});

withBrowser('the receive page lets the browser save what is too large to show', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  await page.goto(`${common}/data/dump.bin?receive`);
  const saved = page.waitForEvent('download');
  // A click ends with the navigation that it begins, and that is the download.
  const clicked = page.getByRole('button', {name: 'Save as a file'}).click();
  const bytes = randomBytes(3_000_000);
  await (await fetch(`${common}/data/dump.bin`, {method: 'POST', body: bytes})).text();
  const [download] = await Promise.all([saved, clicked]);
  t.is(download.suggestedFilename(), 'dump.bin');
  t.true((await readFile(await download.path())).equals(bytes));
  t.deepEqual(complaints, []);
});

withBrowser('the first page that is asked for is shown, and only to browsers', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page} = await openPage(t);
  for (const [query, title] of [
    ['receive&share&video&progress', 'Progress of x'],
    ['receive&share&video', 'Video of x'],
    ['receive&share', 'Share x'],
    ['receive', 'Receive x'],
  ] as const) {
    await page.goto(`${common}/x?${query}`, {waitUntil: 'commit'});
    t.is(await page.title(), title);
  }
  const program = fetch(`${common}/raw?receive&share&video`);
  await untilStatus(common, '/raw', ({activeReceivers}) => activeReceivers === 1);
  await (await fetch(`${common}/raw`, {method: 'POST', body: 'raw'})).text();
  t.is(await (await program).text(), 'raw');
});

/** Draws and records a second of moving picture; in base64. */
const record = `(async () => {
  const canvas = document.createElement('canvas');
  const paint = setInterval(() => canvas.getContext('2d').fillRect(Math.random() * 300, 0, 40, 150), 30);
  const recorder = new MediaRecorder(canvas.captureStream(30), {mimeType: 'video/webm;codecs=vp9'});
  const pieces = [];
  recorder.ondataavailable = ({data}) => pieces.push(data);
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const stopped = new Promise((resolve) => recorder.addEventListener('stop', resolve));
  recorder.stop();
  await stopped;
  clearInterval(paint);
  const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
})()`;

withBrowser('the video page plays a stream before it has ended', async (t) => {
  const {common} = await createPipeWorld(t);
  const {page, complaints} = await openPage(t);
  await page.goto(`${common}/help`);
  const film = Buffer.from(await page.evaluate<string>(record), 'base64');
  await page.goto(`${common}/film?video`, {waitUntil: 'commit'});
  await untilStatus(common, '/film', ({activeReceivers}) => activeReceivers === 1);
  const sender = await RawClient.open(common, 'PUT', '/film', {
    headers: {'Transfer-Encoding': 'chunked', 'Content-Type': 'video/webm'},
  });
  sender.writeChunkBytes(film.subarray(0, film.length - 1));
  while (!(await page.evaluate<boolean>('document.querySelector("video").currentTime > 0')))
    await Bun.sleep(20);
  t.is(await page.locator('#state').textContent(), 'Streaming.');
  await look(page, 'video');
  sender.writeChunkBytes(film.subarray(film.length - 1));
  sender.endChunks();
  await page.getByText('The stream has ended.').waitFor();
  t.deepEqual(complaints, []);
});

for (const [form, base] of [
  ['below /c/', (port: number) => `http://127.0.0.1:${port}/c/${gatewayContainer}/pipe`],
  ['on the host of the pipe', (port: number) => `http://${gatewayContainer}-pipe-1.localhost:${port}`],
] as const) {
  withBrowser(`S79: through the controller the pages work too, ${form}`, async (t) => {
    const port = Number(new URL((await createPipeWorld(t)).gateway).port);
    const url = base(port);
    const {page, complaints} = await openPage(t);
    const receiver = await openPage(t);
    await receiver.page.goto(`${url}/to/all?receive&autostart&n=2`);
    const watcher = await openPage(t);
    await watcher.page.goto(`${url}/to/all?progress`);
    await watcher.page.getByText('Waiting for the others.').waitFor();
    await page.goto(`${url}/`);
    await page.getByLabel('Path, the same for all receivers').fill('to/all');
    await page.getByLabel('Receivers (n)').fill('2');
    await page.getByLabel('or text').fill('hello all');
    await page.getByRole('button', {name: 'Send'}).click();
    await page.getByText('Waiting for 2 receiver(s)').waitFor();
    const line = (await page.locator('#receive code').textContent()) ?? '';
    t.is(line, `curl "${url}/to/all?n=2"`);
    const curl = Bun.spawn(['sh', '-c', line], {stdout: 'pipe', stderr: 'ignore'});
    t.is(await new Response(curl.stdout).text(), 'hello all');
    await receiver.page.getByText('hello all').waitFor();
    await page.locator('#log.complete').waitFor();
    await watcher.page.getByText(/^Complete: 9 B in /).waitFor();
    t.true((await (await fetch(`${url}/help`)).text()).includes(`  curl -T file.bin ${url}/mypath123\n`));
    await page.goto(`${url}/noscript?path=typed&mode=text`);
    const received = fetch(`${url}/typed`).then((response) => response.text());
    await page.locator('textarea').fill('typed');
    await page.getByRole('button', {name: 'Send'}).click();
    t.is(await received, 'typed');
    await page.getByText('Transfer complete.').waitFor();
    for (const one of [complaints, receiver.complaints, watcher.complaints]) t.deepEqual(one, []);
  });
}
