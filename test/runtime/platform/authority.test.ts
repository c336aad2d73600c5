import {X509Certificate} from 'node:crypto';
import {lstat, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type Authority, openAuthority} from '../../../runtime/platform/authority.ts';
import {createLog} from '../../../runtime/platform/log.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';

const dayMs = 86_400_000;
const names = ['cron.hoody.example', 'exec.hoody.example'];

async function setup(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'bt-authority-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const store = join(directory, 'store');
  await mkdir(store, {mode: 0o700});
  const clock = new FakeClock();
  const lines: string[] = [];
  const bundle = join(directory, 'etc/certificates.crt');
  const places = {
    directory: join(directory, 'etc/ours'),
    bundles: [bundle] as const,
    anchors: [join(directory, 'anchors')],
  };
  const log = createLog(
    (line) => lines.push(line),
    () => 0,
  );
  const open = (change: Partial<Parameters<typeof openAuthority>[0]> = {}) =>
    openAuthority({store, names, clock, log, places, ...change});
  return {directory, store, file: join(store, 'authority.json'), clock, lines, bundle, places, open};
}

async function signed(authority: Authority): Promise<X509Certificate> {
  return new X509Certificate((await authority.certificateOf()).certificate);
}

async function certificateOf(authority: Authority): Promise<string> {
  const {NODE_EXTRA_CA_CERTS = ''} = await authority.trust();
  return await readFile(NODE_EXTRA_CA_CERTS, 'utf8');
}

test('its key is for us alone, and the next start finds the same authority', async (t) => {
  const {file, open} = await setup(t);
  const first = await certificateOf(await open());
  t.is((await stat(file)).mode & 0o777, 0o600);
  const second = await open();
  t.is(await certificateOf(second), first);
  const server = await signed(second);
  t.true(server.verify(new X509Certificate(first).publicKey));
  t.deepEqual(server.subjectAltName, names.map((name) => `DNS:${name}`).join(', '));
});

for (const {kind, text} of [
  {kind: 'empty', text: ''},
  {kind: 'cut short', text: '{"names":["cron.hoody.example"'},
  {kind: 'of another shape', text: '{"names":"x","certificate":1}'},
  {kind: 'no object', text: '[]'},
]) {
  test(`a file that is ${kind} is replaced at the start`, async (t) => {
    const {file, open} = await setup(t);
    await writeFile(file, text);
    const authority = await open();
    t.true((await signed(authority)).verify(new X509Certificate(await certificateOf(authority)).publicKey));
  });
}

for (const {kind, put} of [
  {kind: 'a pipe', put: (file: string) => Bun.spawnSync(['mkfifo', file])},
  {kind: 'a directory', put: (file: string) => mkdir(join(file, 'more'), {recursive: true})},
  {kind: 'a link to nothing', put: (file: string) => symlink('/nowhere/at/all', file)},
  {kind: 'a link to a file of others', put: (file: string) => symlink('/etc/hostname', file)},
]) {
  test(`${kind} in the place of its file is replaced at the start, and nothing behind it is touched`, async (t) => {
    const {file, open} = await setup(t);
    await put(file);
    await signed(await open());
    t.true((await lstat(file)).isFile());
  });
}

test('for another domain there is another authority', async (t) => {
  const {open} = await setup(t);
  const former = await certificateOf(await open());
  const other = await open({names: ['exec.other.example']});
  t.not(await certificateOf(other), former);
  t.is((await signed(other)).subjectAltName, 'DNS:exec.other.example');
});

test('a container that runs for years has a valid certificate at every connection', async (t) => {
  const {clock, open} = await setup(t);
  const authority = await open();
  const trusted = new X509Certificate(await certificateOf(authority));
  const serials = new Set<string>();
  for (let day = 0; day < 10 * 365; day += 50) {
    const certificate = await signed(authority);
    serials.add(certificate.serialNumber);
    t.true(Date.parse(certificate.validFrom) <= clock.now());
    t.true(Date.parse(certificate.validTo) > clock.now() + 29 * dayMs);
    t.true(Date.parse(trusted.validTo) > Date.parse(certificate.validTo));
    t.true(certificate.verify(trusted.publicKey));
    await clock.advance(50 * dayMs);
  }
  t.is(serials.size, 37, 'each serves for two connections');
});

test('where the clock was far ahead, the next start makes one that is valid now', async (t) => {
  const {clock, open} = await setup(t);
  const former = await certificateOf(await open());
  const earlier = new FakeClock(clock.now() - 400 * dayMs);
  const authority = await open({clock: earlier});
  t.not(await certificateOf(authority), former);
  t.true(Date.parse((await signed(authority)).validFrom) <= earlier.now());
});

test('where its key is gone it refuses, and says how that is mended', async (t) => {
  const {file, lines, open} = await setup(t);
  const authority = await open();
  await rm(file);
  await t.throwsAsync(authority.certificateOf());
  t.regex(lines.join('\n'), /the next start of this container makes another/);
});

test('where a job put a wrong key into its file it refuses, and the next start makes another', async (t) => {
  const {file, open} = await setup(t);
  const former = await certificateOf(await open());
  const text = await readFile(file, 'utf8');
  await writeFile(file, JSON.stringify({...JSON.parse(text), key: 'of a job'}));
  await t.throwsAsync((await open()).certificateOf());
  const authority = await open();
  t.not(await certificateOf(authority), former);
  t.true((await signed(authority)).verify(new X509Certificate(await certificateOf(authority)).publicKey));
});

test('programs trust it beside the others, in place of the one of a former container', async (t) => {
  const {bundle, places, directory, open} = await setup(t);
  await mkdir(join(directory, 'etc'));
  const others = '# of the system\n-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n';
  await writeFile(bundle, others, {mode: 0o600});
  const former = await certificateOf(await open({names: ['exec.other.example']}));
  const authority = await open();
  const variables = await authority.trust();
  t.deepEqual(variables, {
    SSL_CERT_FILE: bundle,
    REQUESTS_CA_BUNDLE: bundle,
    NODE_EXTRA_CA_CERTS: join(places.directory, 'authority.crt'),
  });
  const own = await certificateOf(authority);
  const text = await readFile(bundle, 'utf8');
  t.is(text, `${others}\n# branchtab: begin\n${own}# branchtab: end\n`);
  t.false(text.includes(former));
  t.is(await readFile(join(places.anchors[0] ?? '', 'branchtab.crt'), 'utf8'), own);
  t.is((await stat(join(places.directory, 'authority.crt'))).mode & 0o777, 0o644);
  await authority.trust();
  t.is(await readFile(bundle, 'utf8'), text);
});

test('a bundle whose change was cut short is whole again after the next start', async (t) => {
  const {bundle, directory, open} = await setup(t);
  await mkdir(join(directory, 'etc'));
  await writeFile(bundle, 'others\n');
  await (await open()).trust();
  const whole = await readFile(bundle, 'utf8');
  await writeFile(bundle, whole.slice(0, -300));
  await (await open()).trust();
  t.is(await readFile(bundle, 'utf8'), whole);
});

test('where there is no bundle it makes one, which holds only the last of several authorities', async (t) => {
  const {bundle, open} = await setup(t);
  await (await open({names: ['exec.other.example']})).trust();
  const authority = await open();
  await authority.trust();
  const own = await certificateOf(authority);
  t.is(await readFile(bundle, 'utf8'), `\n# branchtab: begin\n${own}# branchtab: end\n`);
});

test('of a large bundle every other byte stays', async (t) => {
  const {bundle, directory, open} = await setup(t);
  await mkdir(join(directory, 'etc'));
  const others = Buffer.from(Array.from({length: 300_000}, (_, at) => (at * 7) % 256));
  await writeFile(bundle, others);
  for (const name of ['exec.other.example', 'exec.hoody.example', 'exec.a-longer-name.hoody.example'])
    await (await open({names: [name]})).trust();
  const written = await readFile(bundle);
  t.deepEqual(written.subarray(0, others.length), others);
  t.is(written.toString('latin1').split('BEGIN CERTIFICATE').length, 2);
});

test('where a file system takes nothing, the variables name files of its own', async (t) => {
  const {places, store, open} = await setup(t);
  const readOnly = '/sys/kernel/branchtab';
  const authority = await open({
    places: {...places, directory: readOnly, bundles: [`${readOnly}.crt`], anchors: [readOnly]},
  });
  const own = join(store, 'authority.crt');
  const all = join(store, 'authorities.crt');
  t.deepEqual(await authority.trust(), {
    SSL_CERT_FILE: all,
    REQUESTS_CA_BUNDLE: all,
    CURL_CA_BUNDLE: all,
    GIT_SSL_CAINFO: all,
    NODE_EXTRA_CA_CERTS: own,
  });
  t.true((await readFile(all, 'utf8')).includes(await readFile(own, 'utf8')));
});
