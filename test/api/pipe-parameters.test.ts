import test, {type ExecutionContext} from 'ava';
import {FakeClock} from '../helpers/fake-clock.ts';
import {createPipeWorld, RawClient, untilStatus} from '../helpers/pipe-world.ts';

const chunked = {headers: {'Transfer-Encoding': 'chunked'}};

/** Each parameter does on each address what it says, at times that a test sets. */
function onEach(
  title: string,
  check: (t: ExecutionContext, url: string, clock: FakeClock) => Promise<void>,
): void {
  for (const address of ['direct', 'common', 'gateway'] as const) {
    test(`${title} (${address})`, async (t) => {
      const clock = new FakeClock();
      const world = await createPipeWorld(t, {clock});
      await check(t, world[address], clock);
    });
  }
}

async function waiting(url: string, path: string, name: string, count: number): Promise<RawClient[]> {
  const receivers = await Promise.all(Array.from({length: count}, () => RawClient.open(url, 'GET', path)));
  await untilStatus(url, name, ({activeReceivers}) => activeReceivers === count);
  return receivers;
}

onEach('key= keeps whoever has another one from the name, its state and its progress', async (t, url) => {
  const receiver = await RawClient.open(url, 'GET', '/replay?key=tulip');
  const status = async (query: string) => (await fetch(`${url}/replay${query}`)).status;
  while ((await status('?status')) !== 403) await Bun.sleep(5);
  for (const query of ['?', '?key=rose', '?key=', '?status&key=rose', '?progress', '?progress&key=rose'])
    t.true([400, 403].includes(await status(query)), query);
  const stranger = await fetch(`${url}/replay?key=rose`, {method: 'POST', body: 'x'});
  t.is(stranger.status, 403);
  t.is(await stranger.text(), '[ERROR] This name is used with another key, or without one.\n');
  const sent = await fetch(`${url}/replay?key=tulip`, {method: 'POST', body: 'secret'});
  t.true((await sent.text()).endsWith('Transfer complete.\n'));
  await receiver.untilOver();
  t.is(receiver.body, 'secret');
});

onEach('n=2-8 starts with whoever is there when the wait ends', async (t, url, clock) => {
  const receivers = await waiting(url, '/replay?n=2-8', '/replay', 3);
  const sender = await RawClient.open(url, 'PUT', '/replay?n=2-8&wait=60', chunked);
  await sender.until('[INFO] Waiting for 2-8 receiver(s) to connect...\n');
  await clock.advance(60_000);
  await sender.until('[INFO] Streaming to 3 receiver(s)...\n');
  sender.writeChunk('three');
  sender.endChunks();
  await sender.until('[INFO] Transfer complete.\n');
  for (const receiver of receivers) {
    await receiver.untilOver();
    t.is(receiver.body, 'three');
  }
});

onEach('heartbeat= feeds a waiting sender’s connection, as text and as JSON', async (t, url, clock) => {
  const text = await RawClient.open(url, 'PUT', '/a?n=2&heartbeat', chunked);
  const json = await RawClient.open(url, 'PUT', '/b?heartbeat=30', {
    headers: {...chunked.headers, Accept: 'application/x-ndjson'},
  });
  await Promise.all([text.until('Waiting'), json.until('waiting')]);
  await clock.advance(30_000);
  await text.until('[INFO] Still waiting, 0 of 2 receiver(s) connected.\n'.repeat(2));
  await json.until('{"level":"info","event":"still_waiting"');
  t.is(json.body.split('still_waiting').length, 2);
});

onEach('slow=drop lets a receiver go that takes nothing, and the other gets all', async (t, url, clock) => {
  const [stalled, reading] = await waiting(url, '/x?n=2', '/x', 2);
  const sender = await RawClient.open(url, 'PUT', '/x?n=2&slow=drop', {
    headers: {'Content-Length': '40000000'},
  });
  await sender.until('Streaming to 2');
  stalled?.pause();
  sender.write(Buffer.alloc(40_000_000, 'x'));
  // Buffers on the way take some, and until they are full it is not the receiver that is waited for.
  const bytes = async () =>
    ((await (await fetch(`${url}/x?status`)).json()) as {bytesTransferred: number}).bytesTransferred;
  let before = -1;
  for (let now = await bytes(); now !== before; now = await bytes()) {
    before = now;
    await Bun.sleep(200);
  }
  await clock.advance(12_000);
  await sender.until('[INFO] A receiver disconnected.\n');
  await sender.until('[INFO] Transfer complete.\n');
  await reading?.untilOver();
  t.true(reading?.isComplete);
  stalled?.resume();
  await stalled?.untilOver();
  t.false(stalled?.isComplete);
});

onEach('idle= ends a transfer in which nothing moves, 60 s after saying so', async (t, url, clock) => {
  const [receiver] = await waiting(url, '/x', '/x', 1);
  const sender = await RawClient.open(url, 'PUT', '/x?idle=2m', chunked);
  sender.writeChunk('a');
  await receiver?.until('a');
  // Through the gateway the pipe learns a moment later what moved.
  await untilStatus(url, '/x', ({bytesTransferred}) => bytesTransferred === 1);
  await clock.advance(61_000);
  await sender.until('[INFO] Nothing has moved for 60 s. The transfer ends in 60 s unless something does.\n');
  t.like(await (await fetch(`${url}/x?status`)).json(), {state: 'streaming'});
  await clock.advance(60_000);
  await sender.until('[ERROR] Transfer failed: nothing moved for too long.\n');
  await receiver?.untilOver();
  t.false(receiver?.isComplete);
  await untilStatus(url, '/x', ({state}) => state === 'idle');
});

onEach('rate= paces the sender and says the rate that was measured', async (t, url, clock) => {
  const [receiver] = await waiting(url, '/x', '/x', 1);
  const sender = await RawClient.open(url, 'PUT', '/x?rate=50k', {headers: {'Content-Length': '204800'}});
  await sender.until('Streaming to 1 receiver(s)...\n');
  sender.write(Buffer.alloc(204_800, 'x'));
  await receiver?.until('x');
  await clock.advance(3000);
  await sender.until('[INFO] Streaming to 1 receiver(s) at ');
  t.regex(sender.body, /at (?:49|5[0-3])\.\d KB\/s\n/);
  t.false(receiver?.isComplete);
  await clock.advance(2000);
  await sender.until('[INFO] Transfer complete.\n');
  await receiver?.untilOver();
  t.true(receiver?.isComplete);
});

onEach('transfer= names a transfer while it runs and ten minutes after', async (t, url, clock) => {
  const id = 'the-replay-of-2026-05-04';
  const sender = await RawClient.open(url, 'PUT', `/x?transfer=${id}`, {headers: {'Content-Length': '3'}});
  await sender.until('Waiting');
  t.is(sender.header('x-hoody-pipe-transfer-id'), id);
  const other = await fetch(`${url}/other?transfer=${id}`, {method: 'POST', body: 'x'});
  t.is(other.status, 409);
  t.is(await other.text(), '[ERROR] Transfer id already in use.\n');
  const received = await RawClient.open(url, 'GET', '/x?sha256');
  sender.write('abc');
  await received.untilOver();
  t.is(received.header('x-hoody-pipe-transfer-id'), id);
  await sender.until('Transfer complete.\n');
  const status = await fetch(`${url}/x?status&transfer=${id}`);
  t.deepEqual(await status.json(), {
    state: 'complete',
    kind: 'pipe',
    peers: 0,
    transferId: id,
    hasSender: false,
    activeReceivers: 1,
    totalReceivers: 1,
    bytesTransferred: 3,
    totalBytes: 3,
    speed: 0,
    eta: null,
    elapsed: 0,
    reason: null,
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    readers: [{name: null, bytes: 3, blocking: false}],
  });
  await clock.advance(600_000);
  t.is((await fetch(`${url}/x?status&transfer=${id}`)).status, 404);
});

onEach('who asks for the progress again within 30 s of the end is told to stop', async (t, url, clock) => {
  await waiting(url, '/x', '/x', 1);
  await (await fetch(`${url}/x`, {method: 'POST', body: 'x'})).text();
  t.is((await fetch(`${url}/x?progress`)).status, 204);
  await clock.advance(30_000);
  const later = await RawClient.open(url, 'GET', '/x?progress');
  await later.until('"state":"idle"');
  await clock.advance(15_000);
  await later.until(':keepalive\n\n');
  t.is(later.header('cache-control'), 'no-cache, no-store');
  t.is(later.header('x-accel-buffering'), 'no');
  await clock.advance(1_800_000);
  await later.untilOver();
  t.true(later.isComplete);
});

onEach('a live sender and receivers that wait for another kind do not meet', async (t, url) => {
  await waiting(url, '/x', '/x', 1);
  const live = await fetch(`${url}/x?live`, {method: 'POST', body: 'x'});
  t.is(live.status, 409);
  t.regex(await live.text(), /^\[ERROR\] The others on this name do not use live/);
});

onEach('all places are taken: another receiver and a sender in the middle are refused', async (t, url) => {
  await waiting(url, '/x?n=2', '/x', 2);
  const third = await fetch(`${url}/x?n=2`);
  t.is(third.status, 400);
  t.regex(await third.text(), /^\[ERROR\] All 2 receivers of this name are there already/);
  const sender = await RawClient.open(url, 'PUT', '/x?n=2', chunked);
  await sender.until('Streaming');
  for (const method of ['GET', 'PUT']) {
    const late = await fetch(`${url}/x?n=2`, {method, ...(method === 'PUT' ? {body: 'x'} : {})});
    t.is(late.status, 400);
    t.regex(await late.text(), /^\[ERROR\] A transfer is running on this name already/);
  }
});

onEach('S80: of the request of a sender only what is meant for receivers reaches them', async (t, url) => {
  const [receiver] = await waiting(url, '/x', '/x', 1);
  const sender = await RawClient.open(url, 'PUT', '/x', {
    headers: {
      'Content-Length': '3',
      'Content-Type': 'Text/HTML; Charset=UTF-8; boundary=x',
      'Content-Disposition': 'inline; filename="a.html"',
      'X-Piping': 'note',
      Authorization: 'Bearer secret',
      Cookie: 'a=b',
      'X-Other': 'other',
      'Set-Cookie': 'a=b',
      'Content-Encoding': 'gzip',
    },
  });
  sender.write('abc');
  await receiver?.untilOver();
  const head = receiver?.text.split('\r\n\r\n', 1)[0] ?? '';
  const names = head
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(':', 1)[0]?.toLowerCase() ?? '')
    .filter((name) => !['date', 'connection', 'keep-alive', 'content-security-policy'].includes(name));
  t.deepEqual(names.sort(), [
    'access-control-allow-origin',
    'access-control-expose-headers',
    'cache-control',
    'content-disposition',
    'content-length',
    'content-type',
    'x-content-type-options',
    'x-hoody-pipe-transfer-id',
    'x-piping',
    'x-robots-tag',
  ]);
  t.is(receiver?.header('content-type'), 'text/plain; charset=utf-8');
  t.is(receiver?.header('content-disposition'), 'inline; filename="a.html"');
  t.is(receiver?.header('access-control-expose-headers'), 'X-Hoody-Pipe-Transfer-Id, X-Piping');
});

const partHead = '--b\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n';

for (const {title, sent, status} of [
  {
    title: 'before its file begins',
    sent: '--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx',
    status: 500,
  },
  {title: 'in the middle of its file', sent: `${partHead}abc`.padEnd(300, 'x'), status: 200},
]) {
  onEach(`a form whose sender leaves ${title} never looks complete`, async (t, url) => {
    const [receiver] = await waiting(url, '/form', '/form', 1);
    const sender = await RawClient.open(url, 'POST', '/form', {
      headers: {'Content-Type': 'multipart/form-data; boundary=b', 'Content-Length': '100000'},
    });
    sender.write(sent);
    await (status === 200 ? receiver?.until('abc') : sender.until('Waiting'));
    sender.leave();
    await receiver?.untilOver();
    t.is(receiver?.status, status);
    if (status === 200) t.false(receiver?.isComplete);
    else t.regex(receiver?.body ?? '', /^\[ERROR\] Transfer failed/);
    await untilStatus(url, '/form', ({state}) => state === 'idle');
  });
}

onEach('a form whose file does not begin within 30 s is given up', async (t, url, clock) => {
  const [receiver] = await waiting(url, '/form', '/form', 1);
  const sender = await RawClient.open(url, 'POST', '/form', {
    headers: {'Content-Type': 'multipart/form-data; boundary=b', 'Content-Length': '100000'},
  });
  await sender.until('1 receiver(s) already connected.\n');
  await clock.advance(30_000);
  await sender.until('[ERROR] Transfer failed');
  await receiver?.untilOver();
  t.is(receiver?.status, 500);
});
