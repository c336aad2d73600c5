import {once} from 'node:events';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {type AddressInfo, connect} from 'node:net';
import {join} from 'node:path';
import {pipeline} from 'node:stream';
import {createServer} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {startRuntime} from '../helpers/runtime-process.ts';

const hasPv = Bun.which('pv') !== null;
const hasOpenssl = Bun.which('openssl') !== null;
const withPv = hasPv && hasOpenssl ? test : test.skip;

/** The lines of the public document against a real runtime behind TLS; only the name of the host is led to it. */
async function setup(t: ExecutionContext) {
  const {directory, url} = await startRuntime(t, ['--allow-host', '*.hoody.com']);
  const home = join(directory, 'curl');
  await mkdir(home, {recursive: true});
  const tlsPort = await serveTls(t, {home, port: Number(new URL(url).port)});
  await writeFile(
    join(home, '.curlrc'),
    `connect-to = "prod-pipe.containers.hoody.com:443:127.0.0.1:${tlsPort}"\ncacert = "certificate.pem"\nsilent\nshow-error\n`,
  );
  const start = (script: string) => {
    const child = Bun.spawn({
      cmd: ['sh', '-c', script],
      cwd: home,
      env: {PATH: '/usr/bin:/bin', HOME: home, CURL_HOME: home, P: `${url}/api/v1/pipe`},
      stdin: 'ignore',
      stdout: 'pipe',
      // pv draws its progress there.
      stderr: 'ignore',
      detached: true,
    });
    t.teardown(() => child.kill('SIGKILL'));
    return child;
  };
  const status = async () =>
    (await (await fetch(`${url}/api/v1/pipe/replay?status`)).json()) as {
      state: string;
      activeReceivers: number;
      bytesTransferred: number;
    };
  const untilStatus = async (wanted: (now: Awaited<ReturnType<typeof status>>) => boolean) => {
    while (!wanted(await status())) await Bun.sleep(10);
  };
  return {home, start, status, untilStatus};
}

/** A proxy that ends TLS for the host of the document, as one would stand before a runtime. Its port. */
async function serveTls(t: ExecutionContext, {home, port}: {home: string; port: number}): Promise<number> {
  const words =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout key.pem -out certificate.pem -subj /CN=test -addext subjectAltName=DNS:prod-pipe.containers.hoody.com';
  await Bun.spawn(['openssl', ...words.split(' ')], {cwd: home, stdout: 'ignore', stderr: 'ignore'}).exited;
  const [key, cert] = await Promise.all(
    ['key.pem', 'certificate.pem'].map((name) => readFile(join(home, name))),
  );
  const server = createServer({key, cert}, (client) => {
    const runtime = connect(port, '127.0.0.1');
    pipeline(client, runtime, client, () => {
      // Either side's end ends the other.
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** What a process writes, with the time of each piece. */
async function timed(stream: ReadableStream<Uint8Array>) {
  const pieces: {atMs: number; bytes: number}[] = [];
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    pieces.push({atMs: performance.now(), bytes: chunk.length});
    text += decoder.decode(chunk, {stream: true});
  }
  return {text, firstMs: pieces[0]?.atMs ?? 0, lastMs: pieces.at(-1)?.atMs ?? 0, pieces};
}

const logLine = (index: number) =>
  `07:23:${String(index % 60).padStart(2, '0')} ${index % 7 === 0 ? 'ERR 500 stripe timeout' : 'INFO POST /v1/checkout'} u_${index}\n`;
const incident = Array.from({length: 3000}, (_, index) => logLine(index)).join('');

const receiveLine = 'curl "https://prod-pipe.containers.hoody.com/api/v1/pipe/replay?n=8"';
const sendLine = `cat incident-2026-05-04.log \\
| pv -L 50k \\
| curl -T - \\
"https://prod-pipe.containers.hoody.com/api/v1/pipe/replay?n=8"`;

withPv(
  'S76 S77 S79 S83 S91 S97: the replay goes to eight curls at the rate of pv, in lockstep',
  async (t) => {
    const {home, start, untilStatus} = await setup(t);
    await writeFile(join(home, 'incident-2026-05-04.log'), incident);
    const readers = Array.from({length: 8}, () => timed(start(receiveLine).stdout));
    await untilStatus(({activeReceivers}) => activeReceivers === 8);
    const sender = timed(start(sendLine).stdout);
    const received = await Promise.all(readers);
    t.true(received.every(({text}) => text === incident));
    t.true((await sender).text.startsWith('[INFO] Waiting for 8 receiver(s) to connect...\n'));
    t.true((await sender).text.includes('[INFO] Streaming to 8 receiver(s)...\n'));
    t.true((await sender).text.endsWith('[INFO] Transfer complete.\n'));
    // Nobody can be through before the rate allows it, and everybody has begun long before anybody is through.
    const lastStartMs = Math.max(...received.map(({firstMs}) => firstMs));
    const firstEndMs = Math.min(...received.map(({lastMs}) => lastMs));
    t.true(firstEndMs - lastStartMs > (incident.length / (50 * 1024)) * 1000 * 0.5);
    const spreadMs = Math.max(...received.map(({lastMs}) => lastMs)) - firstEndMs;
    t.log(`the last bytes reached the eight readers within ${spreadMs.toFixed(1)} ms`);
  },
);

withPv('S84: a sender that is stopped pauses every reader, and goes on when it is continued', async (t) => {
  const {home, start, status, untilStatus} = await setup(t);
  await writeFile(join(home, 'incident-2026-05-04.log'), incident);
  const readers = Array.from({length: 8}, () => timed(start(receiveLine).stdout));
  await untilStatus(({activeReceivers}) => activeReceivers === 8);
  const sender = start(sendLine);
  await untilStatus(({bytesTransferred}) => bytesTransferred > 0);
  process.kill(-sender.pid, 'SIGSTOP');
  let before = -1;
  for (let now = await status(); now.bytesTransferred !== before; now = await status()) {
    before = now.bytesTransferred;
    await Bun.sleep(300);
  }
  t.true(before < incident.length);
  process.kill(-sender.pid, 'SIGCONT');
  t.true((await Promise.all(readers)).every(({text}) => text === incident));
});

withPv(
  'S85 S87 S90: an interrupted replay leaves nothing, and the same line works again for two more readers',
  async (t) => {
    const {home, start, status, untilStatus} = await setup(t);
    await writeFile(join(home, 'incident-2026-05-04.log'), incident);
    const cut = Array.from({length: 8}, () => timed(start(receiveLine).stdout));
    await untilStatus(({activeReceivers}) => activeReceivers === 8);
    const sender = start(sendLine);
    await untilStatus(({bytesTransferred}) => bytesTransferred > 0);
    process.kill(-sender.pid, 'SIGINT');
    await Promise.all(cut);
    await untilStatus(({state}) => state === 'idle');
    t.like(await status(), {state: 'idle', bytesTransferred: 0});
    const six = Array.from({length: 6}, () => timed(start(receiveLine).stdout));
    await untilStatus(({activeReceivers}) => activeReceivers === 6);
    const again = timed(start(sendLine.replace('-L 50k', '-L 500k')).stdout);
    await untilStatus(({state}) => state === 'waiting');
    const latecomers = Array.from({length: 2}, () => timed(start(receiveLine).stdout));
    t.true((await Promise.all([...six, ...latecomers])).every(({text}) => text === incident));
    t.true((await again).text.endsWith('Transfer complete.\n'));
  },
);

(hasOpenssl ? test : test.skip)(
  'S89: any file of the container is a source, and rate= paces it where there is no pv',
  async (t) => {
    const {home, start, untilStatus} = await setup(t);
    await writeFile(join(home, 'incident-2026-05-04.log'), incident);
    const reader = start('curl -o copy.log "https://prod-pipe.containers.hoody.com/api/v1/pipe/replay"');
    await untilStatus(({activeReceivers}) => activeReceivers === 1);
    const {text} = await timed(
      start(
        'curl -T incident-2026-05-04.log "https://prod-pipe.containers.hoody.com/api/v1/pipe/replay?rate=50k"',
      ).stdout,
    );
    await reader.exited;
    t.is(await readFile(join(home, 'copy.log'), 'utf8'), incident);
    t.regex(text, /\[INFO\] Streaming to 1 receiver\(s\) at \d+\.\d KB\/s\n/);
  },
);

withPv('S97: the first example of docs/pipe.md runs as it is written', async (t) => {
  const {home, start, untilStatus} = await setup(t);
  await writeFile(join(home, 'incident-2026-05-04.log'), incident);
  const text = await readFile('docs/pipe.md', 'utf8');
  const example = text.slice(text.indexOf('## '));
  const receive = /^ {4}(curl .*)$/m.exec(example)?.[1] ?? t.fail('no line for receivers') ?? '';
  const [, send = '', log] = /```console\n\$ (.*)\n([^`]*)```/.exec(example) ?? [];
  t.regex(send, /pv .*-L 50k.* curl /);
  const readers = Array.from({length: 8}, () => timed(start(receive).stdout));
  await untilStatus(({activeReceivers}) => activeReceivers === 8);
  const sender = await timed(start(send).stdout);
  t.is(sender.text, log ?? '');
  t.true((await Promise.all(readers)).every((reader) => reader.text === incident));
});
