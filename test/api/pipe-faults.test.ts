import {randomBytes} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import {createPipeWorld, type PipeWorld, RawClient, untilStatus} from '../helpers/pipe-world.ts';

const chunked = {headers: {'Transfer-Encoding': 'chunked'}};

/** What goes wrong goes wrong in the same way on the kit's own address, below the address of all kits and behind a gateway. */
function onEach(
  title: string,
  check: (t: ExecutionContext, url: string, world: PipeWorld) => Promise<void>,
): void {
  for (const address of ['direct', 'common', 'gateway'] as const) {
    test(`${title} (${address})`, async (t) => {
      const world = await createPipeWorld(t);
      await check(t, world[address], world);
    });
  }
}

/** So many receivers and a sender whose transfer has begun. */
async function streaming(url: string, name: string, n: number) {
  const receivers = await Promise.all(
    Array.from({length: n}, () => RawClient.open(url, 'GET', `/${name}?n=${n}`)),
  );
  await untilStatus(url, `/${name}`, ({activeReceivers}) => activeReceivers === n);
  const sender = await RawClient.open(url, 'PUT', `/${name}?n=${n}`, chunked);
  await sender.until('Streaming to');
  sender.writeChunk('begin ');
  await Promise.all(receivers.map((receiver) => receiver.until('begin ')));
  return {sender, receivers};
}

onEach(
  'a receiver that leaves before the start frees its place at once, and all are told',
  async (t, url) => {
    const gone = await RawClient.open(url, 'GET', '/x?n=2');
    await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 1);
    gone.leave();
    await untilStatus(url, '/x', ({state}) => state === 'idle');
    const lonely = await RawClient.open(url, 'PUT', '/x?n=2', chunked);
    await lonely.until('Waiting for 2');
    const spectator = await RawClient.open(url, 'GET', '/x?progress');
    const other = await RawClient.open(url, 'GET', '/x?n=2');
    await lonely.until('[INFO] A receiver was connected (1 of 2).\n');
    await spectator.until('"activeReceivers":1');
    other.leave();
    await lonely.until('[INFO] A receiver disconnected.\n');
    await spectator.until('"hasSender":true,"activeReceivers":0');
    lonely.leave();
    await untilStatus(url, '/x', ({state}) => state === 'idle');
    const {sender, receivers} = await streaming(url, 'x', 2);
    sender.endChunks();
    await sender.until('Transfer complete.');
    t.is(receivers.length, 2);
  },
);

for (const n of [2, 8]) {
  onEach(`one of ${n} receivers leaves, and the others get everything`, async (t, url) => {
    const {sender, receivers} = await streaming(url, 'x', n);
    receivers[0]?.leave();
    await sender.until('[INFO] A receiver disconnected.\n');
    sender.writeChunk('end');
    sender.endChunks();
    await sender.until('[INFO] Transfer complete.\n');
    for (const receiver of receivers.slice(1)) {
      await receiver.untilOver();
      t.true(receiver.isComplete);
      t.is(receiver.body, 'begin end');
    }
  });
}

onEach('half of eight receivers leave, and the other half gets everything', async (t, url) => {
  const {sender, receivers} = await streaming(url, 'x', 8);
  for (const receiver of receivers.slice(0, 4)) receiver.leave();
  await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 4);
  sender.writeChunk('end');
  sender.endChunks();
  await sender.until('[INFO] Transfer complete.\n');
  for (const receiver of receivers.slice(4)) {
    await receiver.untilOver();
    t.is(receiver.body, 'begin end');
  }
});

for (const n of [1, 3]) {
  onEach(
    `when the last of ${n} receivers leaves, the sender reads an error and the name is free`,
    async (t, url) => {
      const {sender, receivers} = await streaming(url, 'x', n);
      for (const receiver of receivers) receiver.leave();
      await sender.until('[ERROR] Transfer failed: every receiver has left.\n');
      await untilStatus(url, '/x', ({state}) => state === 'idle');
      t.false(sender.body.includes('Transfer complete.'));
    },
  );
}

for (const {title, headers, begin} of [
  {title: 'in chunks', headers: {'Transfer-Encoding': 'chunked'}, begin: '3\r\nabc\r\n'},
  {title: 'of known length', headers: {'Content-Length': '10'}, begin: 'abc'},
  {title: 'in the middle of a chunk', headers: {'Transfer-Encoding': 'chunked'}, begin: 'ff\r\nabc'},
]) {
  onEach(`a sender ${title} that leaves cuts its receivers, visibly, and frees the name`, async (t, url) => {
    const receiver = await RawClient.open(url, 'GET', '/x');
    const sender = await RawClient.open(url, 'PUT', '/x', {headers});
    sender.write(begin);
    await receiver.until('abc');
    sender.leave();
    await receiver.untilOver();
    t.false(receiver.isComplete);
    await untilStatus(url, '/x', ({state}) => state === 'idle');
  });
}

onEach('a sender that leaves while it waits frees its place, and receivers go on waiting', async (t, url) => {
  const receiver = await RawClient.open(url, 'GET', '/x?n=2');
  const gone = await RawClient.open(url, 'PUT', '/x?n=2', chunked);
  await gone.until('Waiting for 2');
  gone.writeChunk('never seen');
  gone.leave();
  await untilStatus(url, '/x', ({hasSender, activeReceivers}) => !hasSender && activeReceivers === 1);
  t.is(receiver.text, '');
});

onEach('the connection of a sender that ends it while it waits is given up', async (t, url) => {
  const gone = await RawClient.open(url, 'PUT', '/x', chunked);
  await gone.until('Waiting for 1');
  gone.writeChunk('half');
  gone.finish();
  await gone.untilOver();
  t.true(gone.isOver);
  t.false(gone.isComplete);
});

onEach(
  'a sender that was killed in the middle of a large upload gives way to the next one',
  async (t, url) => {
    const ghost = await RawClient.open(url, 'PUT', '/x', {headers: {'Content-Length': '50000000'}});
    await ghost.until('Waiting for 1');
    ghost.write(randomBytes(50_000_000));
    // Until the kernel takes no more, as with every sender whose receiver is late.
    await Bun.sleep(100);
    ghost.leave();
    const next = await RawClient.open(url, 'PUT', '/x', {headers: {'Content-Length': '3'}});
    next.write('new');
    await next.until('Waiting for 1');
    const receiver = await RawClient.open(url, 'GET', '/x');
    await receiver.untilOver();
    t.is(receiver.body, 'new');
  },
);

onEach(
  'a second sender is refused while the first one is there, and the pipe is unharmed',
  async (t, url) => {
    const first = await RawClient.open(url, 'PUT', '/x', chunked);
    await first.until('Waiting for 1');
    const second = await RawClient.open(url, 'PUT', '/x', chunked);
    await second.untilOver();
    t.is(second.status, 400);
    t.regex(second.body, /^\[ERROR\] Another sender waits/);
    const receiver = await RawClient.open(url, 'GET', '/x');
    first.writeChunk('first');
    first.endChunks();
    await receiver.untilOver();
    t.is(receiver.body, 'first');
  },
);

onEach('another n is refused, naming both, and the pipe is unharmed', async (t, url) => {
  const waiting = await RawClient.open(url, 'GET', '/x?n=2');
  await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 1);
  const other = await fetch(`${url}/x?n=3`, {method: 'POST', body: 'x'});
  t.is(other.status, 400);
  t.is(
    await other.text(),
    '[ERROR] The number of receivers on this name is n=2, and this request has n=3.\n',
  );
  t.is((await fetch(`${url}/x`)).status, 400);
  t.is(waiting.text, '');
});

onEach('an early refusal can be read by a client that is still uploading', async (t, url) => {
  const client = await RawClient.open(url, 'PUT', '/x?n=0', {headers: {'Content-Length': '20000000'}});
  const piece = randomBytes(1_000_000);
  for (let sent = 0; sent < 20; sent += 1) {
    client.write(piece);
    await Bun.sleep(1);
  }
  await client.untilOver();
  t.is(client.status, 400);
  t.regex(client.body, /n is the number of receivers/);
});

onEach(
  'a sender that is still uploading when the last receiver leaves can read why it failed',
  async (t, url) => {
    const receiver = await RawClient.open(url, 'GET', '/x');
    const sender = await RawClient.open(url, 'PUT', '/x', {
      headers: {'Content-Length': '40000000'},
      isHalfOpen: true,
    });
    const piece = randomBytes(1_000_000);
    let isTaken = true;
    for (let sent = 0; sent < 40; sent += 1) {
      isTaken &&= await sender.writeAll(piece);
      if (sent > 0) continue;
      await receiver.untilBytes(100_000);
      receiver.leave();
    }
    await sender.untilOver();
    t.true(sender.isComplete);
    t.true(isTaken);
    sender.leave();
    t.true(sender.body.endsWith('[ERROR] Transfer failed: every receiver has left.\n'), sender.body);
  },
);

onEach('S76: who expects 100 gets it, and a refusal instead where it is refused', async (t, url) => {
  const receiver = await RawClient.open(url, 'GET', '/x');
  const sender = await RawClient.open(url, 'PUT', '/x', {
    headers: {'Content-Length': '3', Expect: '100-continue'},
  });
  await sender.until('HTTP/1.1 100 Continue\r\n\r\n');
  sender.write('abc');
  await receiver.untilOver();
  t.is(receiver.body, 'abc');
});

onEach('an expectation that nobody can meet is 417', async (t, url) => {
  const client = await RawClient.open(url, 'PUT', '/x', {
    headers: {'Content-Length': '3', Expect: 'magic'},
  });
  await client.untilOver();
  t.is(client.status, 417);
  await untilStatus(url, '/x', ({state}) => state === 'idle');
});

onEach(
  'a receiver that would like another protocol is served in this one, and stalls the sender',
  async (t, url) => {
    const receiver = await RawClient.open(url, 'GET', '/x', {
      headers: {Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk'},
    });
    await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 1);
    receiver.pause();
    const sender = await RawClient.open(url, 'PUT', '/x', {headers: {'Content-Length': '100000000'}});
    await sender.until('Streaming to 1');
    const piece = randomBytes(1_000_000);
    for (let sent = 0; sent < 100; sent += 1) sender.write(piece);
    await untilStalled(t, url);
    receiver.resume();
    await receiver.untilBytes(100_000_000);
    t.true(receiver.bytes.subarray(-1_000_000).equals(piece));
  },
);

onEach('a sender that would like another protocol sends by this one', async (t, url) => {
  const receiver = await RawClient.open(url, 'GET', '/x');
  const sender = await RawClient.open(url, 'PUT', '/x', {
    headers: {Connection: 'Upgrade', Upgrade: 'h2c', 'Content-Length': '3'},
  });
  sender.write('abc');
  await sender.untilOver();
  t.is(sender.status, 200);
  await receiver.untilOver();
  t.is(receiver.body, 'abc');
});

onEach('a websocket is refused', async (t, url, {gateway}) => {
  const client = await RawClient.open(url, 'GET', '/x?ws', {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
  });
  await client.untilOver();
  t.is(client.status, url === gateway ? 404 : 501);
  t.regex(
    client.body,
    url === gateway ? /No websocket is taken here/ : /^\[ERROR\] Websockets are not relayed here/,
  );
});

onEach('both length headers are refused', async (t, url) => {
  const client = await RawClient.open(url, 'PUT', '/x', {
    headers: {'Content-Length': '3', 'Transfer-Encoding': 'chunked'},
  });
  await client.untilOver();
  t.is(client.status, 400);
  await untilStatus(url, '/x', ({state}) => state === 'idle');
});

onEach('broken chunk framing cuts the receiver and frees the name', async (t, url) => {
  const {sender, receivers} = await streaming(url, 'x', 1);
  sender.write('zz\r\nhello\r\n0\r\n\r\n');
  await receivers[0]?.untilOver();
  t.false(receivers[0]?.isComplete);
  t.is(receivers[0]?.body, 'begin ');
  await untilStatus(url, '/x', ({state}) => state === 'idle');
});

onEach(
  'a receiver of HTTP/1.0 gets plain bytes, and a transfer that breaks off ends with an error',
  async (t, url) => {
    for (const isWhole of [true, false]) {
      const receiver = await RawClient.open(url, 'GET', '/old', {version: '1.0'});
      const sender = await RawClient.open(url, 'PUT', '/old', chunked);
      sender.writeChunk('plain');
      await receiver.until('plain');
      if (isWhole) sender.endChunks();
      else sender.leave();
      await receiver.untilOver();
      t.is(receiver.header('transfer-encoding'), null);
      t.is(receiver.body, 'plain');
      t.is(receiver.wasReset, !isWhole);
    }
  },
);

onEach('a sender of HTTP/1.0 reads its log until the connection ends', async (t, url) => {
  const receiver = await RawClient.open(url, 'GET', '/old');
  const sender = await RawClient.open(url, 'POST', '/old', {
    version: '1.0',
    headers: {'Content-Length': '3'},
  });
  sender.write('abc');
  await receiver.untilOver();
  t.is(receiver.body, 'abc');
  await sender.until('[INFO] Transfer complete.\n');
});

test('a head that is too large is refused', async (t) => {
  const {direct} = await createPipeWorld(t);
  const large = await RawClient.connect(direct);
  large.write(`GET /x HTTP/1.1\r\nHost: localhost\r\nA: ${'a'.repeat(20_000)}`);
  await large.untilOver();
  t.is(large.status, 431);
});

onEach('S81: with wait=1 both sides are told after a second', async (t, url) => {
  const receiver = fetch(`${url}/nobody?wait=1`);
  const sender = fetch(`${url}/silent?wait=1`, {method: 'POST', body: 'x'});
  const answer = await receiver;
  t.is(answer.status, 408);
  t.is(await answer.text(), '[ERROR] Timed out waiting for sender.\n');
  t.true((await (await sender).text()).endsWith('[ERROR] Timed out waiting for receivers.\n'));
});

/** Nothing moves any more, and that is long before the end of 100 MB. */
async function untilStalled(t: ExecutionContext, url: string): Promise<void> {
  const bytes = async () =>
    ((await (await fetch(`${url}/x?status`)).json()) as {bytesTransferred: number}).bytesTransferred;
  let before = -1;
  for (let now = await bytes(); now !== before; now = await bytes()) {
    before = now;
    await Bun.sleep(300);
  }
  t.true(before > 0 && before < 60_000_000, String(before));
}

onEach('S82: a receiver that reads nothing stops the sender', async (t, url) => {
  const stalled = await RawClient.open(url, 'GET', '/x?n=2');
  const reading = await RawClient.open(url, 'GET', '/x?n=2');
  await untilStatus(url, '/x', ({activeReceivers}) => activeReceivers === 2);
  const sender = await RawClient.open(url, 'PUT', '/x?n=2', {headers: {'Content-Length': '100000000'}});
  await sender.until('Streaming to 2');
  stalled.pause();
  const piece = randomBytes(1_000_000);
  for (let sent = 0; sent < 100; sent += 1) sender.write(piece);
  await untilStalled(t, url);
  t.false(reading.isOver);
  stalled.resume();
  const headBytes = reading.bytes.indexOf('\r\n\r\n') + 4;
  for (const receiver of [stalled, reading]) await receiver.untilBytes(headBytes + 100_000_000);
  t.true(stalled.bytes.subarray(-1_000_000).equals(piece));
  t.true(reading.bytes.subarray(-1_000_000).equals(piece));
});

onEach('S85: no file is written while bytes pass', async (t, url, world) => {
  const {sender, receivers} = await streaming(url, 'x', 1);
  sender.writeChunk('x'.repeat(1_000_000));
  await receivers[0]?.untilBytes(1_000_000);
  t.deepEqual(await world.files(), ['control.sock']);
  sender.endChunks();
  await sender.until('Transfer complete.');
});

onEach('stopping tells who waits, lets a transfer finish, and refuses newcomers', async (t, url, world) => {
  const waiting = await RawClient.open(url, 'GET', '/waiting');
  const {sender, receivers} = await streaming(url, 'x', 1);
  await untilStatus(url, '/waiting', ({activeReceivers}) => activeReceivers === 1);
  const stopped = world.stop({graceMs: 20_000});
  await waiting.untilOver();
  t.is(waiting.status, 503);
  t.is((await fetch(`${url}/new`)).status, 503);
  sender.writeChunk('to the end');
  sender.endChunks();
  await sender.until('[INFO] Transfer complete.\n');
  await stopped;
  await receivers[0]?.untilOver();
  t.is(receivers[0]?.body, 'begin to the end');
});
