import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {findIncusServer} from '../../cli/incus-server.ts';
import {parseConfig} from '../../schemas/config.ts';
import {makeCertificate} from '../helpers/certificates.ts';

const pair = await makeCertificate({names: ['DNS:client']});
const other = await makeCertificate({names: ['DNS:client']});
const expired = await makeCertificate({names: ['DNS:client'], days: -1});
const url = 'https://incus.example.org:8443';

/** Configuration with these files; null for one that is not there. */
async function settings(t: ExecutionContext, change: Record<string, string | null> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'bt-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const texts = {
    client_certificate: pair.certificate,
    client_key: pair.key,
    server_certificate: other.certificate,
    ...change,
  };
  const incus: Record<string, string> = {url};
  for (const [name, text] of Object.entries(texts)) {
    const path = join(directory, name);
    if (text !== null) await writeFile(path, text, {mode: 0o600});
    incus[name] = path;
  }
  const {config} = parseConfig(JSON.stringify({incus}), 'branchtab.yaml');
  if (config === null) throw new Error('the configuration is wrong');
  return config.incus;
}

test('a server at a url is known by its files', async (t) => {
  const found = await findIncusServer(await settings(t), {}, Date.now());
  t.deepEqual(found, {url, trust: {...pair, authority: other.certificate}});
});

const wrong: Record<string, {files: Record<string, string | null>; words: RegExp}> = {
  'a certificate that is not there': {
    files: {client_certificate: null},
    words: /^incus\.client_certificate: there is no file \//,
  },
  'a certificate that is none': {
    files: {client_certificate: 'hello'},
    words: /^incus\.client_certificate: .*no certificate/,
  },
  'a certificate that has expired': {
    files: {client_certificate: expired.certificate, client_key: expired.key},
    words: /^incus\.client_certificate: it has expired on/,
  },
  'the key of another certificate': {
    files: {client_key: other.key},
    words: /^incus\.client_key: it is not the key of/,
  },
  'a key that is none': {files: {client_key: 'secret words'}, words: /^incus\.client_key: .*no private key/},
  'a server certificate that is none': {
    files: {server_certificate: 'hello'},
    words: /^incus\.server_certificate: .*no certificate/,
  },
};

for (const [what, {files, words}] of Object.entries(wrong)) {
  test(`${what} is refused by the name of its setting, and nothing of a file is said`, async (t) => {
    const error = await t.throwsAsync(findIncusServer(await settings(t, files), {}, Date.now()), {
      code: 'CONFIG_INVALID',
      message: words,
    });
    t.notRegex(`${error?.message}${error?.cause ?? ''}`, /PRIVATE|secret words/);
  });
}

test('a key that others may read is refused', async (t) => {
  const incus = await settings(t);
  await chmod(incus.client_key ?? '', 0o640);
  await t.throwsAsync(findIncusServer(incus, {}, Date.now()), {
    code: 'CONFIG_INVALID',
    message: /chmod 600/,
  });
});

for (const [what, incus] of Object.entries({
  http: {url: 'http://incus.example.org:8443', client_certificate: 'a', client_key: 'b'},
  'a path': {url: `${url}/1.0`, client_certificate: 'a', client_key: 'b'},
  'a password': {url: 'https://me:secret@incus.example.org', client_certificate: 'a', client_key: 'b'},
  'no key': {url, client_certificate: 'a'},
  'a socket besides': {url, client_certificate: 'a', client_key: 'b', socket: '/a'},
  'a certificate and no url': {server_certificate: 'a'},
})) {
  test(`a configuration with ${what} is refused`, (t) => {
    const {config, issues} = parseConfig(JSON.stringify({incus}), 'branchtab.yaml');
    t.is(config, null);
    t.regex(issues[0]?.message ?? '', /incus|url|server|write/);
  });
}
