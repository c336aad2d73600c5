import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Teardown} from './git-world.ts';

export interface NpmRegistry {
  readonly url: string;
  /** Requests so far. */
  requests(): number;
  /** package.json, bunfig.toml and bun.lock of a project that pins `greet`, by name. */
  project(): Record<string, string>;
}

/** A registry on loopback with one package: `greet`, which exports `greet(name)`. */
export async function npmRegistry(t: Teardown): Promise<NpmRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'bt-registry-'));
  mkdirSync(join(directory, 'package'));
  const manifest = {name: 'greet', version: '1.0.0', main: 'index.js'};
  writeFileSync(join(directory, 'package/package.json'), JSON.stringify(manifest));
  writeFileSync(join(directory, 'package/index.js'), "exports.greet = (name) => 'hello ' + name;\n");
  execFileSync('tar', ['-czf', 'greet.tgz', 'package'], {cwd: directory});
  const tarball = readFileSync(join(directory, 'greet.tgz'));
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  let requests = 0;
  let url = '';
  const server = createServer(({url: path = ''}, answer) => {
    requests += 1;
    if (path.endsWith('.tgz')) answer.end(tarball);
    else if (path === '/greet') {
      const version = {...manifest, dist: {tarball: `${url}/greet-1.0.0.tgz`, integrity}};
      answer.setHeader('content-type', 'application/json');
      answer.end(
        JSON.stringify({name: 'greet', 'dist-tags': {latest: '1.0.0'}, versions: {'1.0.0': version}}),
      );
    } else {
      answer.statusCode = 404;
      answer.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(directory, {recursive: true, force: true});
  });
  return {
    url,
    requests: () => requests,
    project: () => ({
      'package.json': JSON.stringify({name: 'scripts', dependencies: {greet: '1.0.0'}}),
      'bunfig.toml': `[install]\nregistry = "${url}"\n`,
      'bun.lock': JSON.stringify({
        lockfileVersion: 1,
        workspaces: {'': {name: 'scripts', dependencies: {greet: '1.0.0'}}},
        packages: {greet: ['greet@1.0.0', `${url}/greet-1.0.0.tgz`, {}, integrity]},
      }),
    }),
  };
}
