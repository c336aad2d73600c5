import {once} from 'node:events';
import {mkdtemp, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {connect} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {Frame} from '../../../runtime/platform/byte-flow.ts';
import {serveWithCertificate} from '../../../runtime/platform/certificate.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {serveExchanges} from '../../../runtime/platform/http-exchange.ts';
import {createLog} from '../../../runtime/platform/log.ts';
import {makeCertificate} from '../../helpers/certificates.ts';

/** Paths of the files in force, and a way to put a new certificate there. */
async function files(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-tls-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const paths = {certificate: join(directory, 'cert.pem'), key: join(directory, 'key.pem')};
  return {
    paths,
    async renew(name: string) {
      const [certificate, key] = [join(directory, 'new-cert.pem'), join(directory, 'new-key.pem')];
      const made = await makeCertificate({names: [`DNS:${name}`], subject: name});
      await writeFile(key, made.key);
      await writeFile(certificate, made.certificate);
      await rename(key, paths.key);
      await rename(certificate, paths.certificate);
    },
  };
}

async function serve(t: ExecutionContext, paths: {certificate: string; key: string}) {
  const lines: string[] = [];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const server = await serveWithCertificate({
    files: paths,
    serve: (certificate, port) =>
      serveExchanges(
        {kind: 'tcp', host: '127.0.0.1', port: port ?? 0},
        {
          handle({head, respond}) {
            const isSlow = head.target === '/slow';
            const answer = respond({status: 200, fields: [], lengthBytes: null});
            answer.write(new Frame(Buffer.from(isSlow ? 'first ' : 'answer')));
            if (isSlow) void finished.then(() => answer.end(new Frame(Buffer.from('last'))));
            else answer.end();
          },
          refuse: (_error, respond) => respond({status: 400, fields: [], lengthBytes: 0}).end(),
        },
        {certificate},
      ),
    clock: systemClock,
    log: createLog(
      (line) => lines.push(line),
      () => 0,
    ),
    lookIntervalMs: 20,
  });
  t.teardown(() => server.close({graceMs: 0}));
  return {url: server.url, port: Number(new URL(server.url).port), lines, finish};
}

/** The name in the certificate of a new connection; null where nobody listens just now. */
async function nameAt(port: number): Promise<string | null> {
  const socket = connect({port, host: '127.0.0.1', rejectUnauthorized: false});
  try {
    await once(socket, 'secureConnect');
    return String(socket.getPeerCertificate().subject.CN);
  } catch {
    return null;
  } finally {
    socket.destroy();
  }
}

async function until(met: () => Promise<boolean>): Promise<void> {
  while (!(await met())) await Bun.sleep(10);
}

test('a renewed certificate is that of new connections, and what is connected goes on', async (t) => {
  const {paths, renew} = await files(t);
  await renew('first');
  const {url, port, finish} = await serve(t, paths);
  t.true(url.startsWith('https://127.0.0.1:'));
  t.is(await nameAt(port), 'first');
  const slow = await fetch(`${url}/slow`, {tls: {rejectUnauthorized: false}});
  await renew('second');
  await until(async () => (await nameAt(port)) === 'second');
  finish();
  t.is(await slow.text(), 'first last');
  t.is(await (await fetch(url, {tls: {rejectUnauthorized: false}})).text(), 'answer');
});

test('files that are no certificate leave the former in force and are told of once', async (t) => {
  const {paths, renew} = await files(t);
  await renew('first');
  const {port, lines} = await serve(t, paths);
  const key = await readFile(paths.key);
  await writeFile(paths.key, 'nonsense');
  await until(async () => lines.length > 0);
  t.regex(lines[0] ?? '', /cannot be renewed.*no certificate with its key/);
  t.is(await nameAt(port), 'first');
  await writeFile(paths.key, key);
  await renew('second');
  await until(async () => (await nameAt(port)) === 'second');
  t.is(lines.filter((line) => line.includes('no certificate with its key')).length, 1);
});

for (const missing of ['certificate', 'key'] as const) {
  test(`without its ${missing} it does not start and says which file`, async (t) => {
    const {paths, renew} = await files(t);
    await renew('first');
    await rm(paths[missing]);
    const error = await t.throwsAsync(serve(t, paths), {code: 'CONFIG_INVALID'});
    t.true(error?.message.includes(paths[missing]));
  });
}
