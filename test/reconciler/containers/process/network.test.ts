import {once} from 'node:events';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {networkInterfaces} from 'node:os';
import {join} from 'node:path';
import anyTest, {type ExecutionContext, type TestFn} from 'ava';
import {findNetwork} from '../../../../reconciler/containers/process/network.ts';
import {findSandbox} from '../../../../reconciler/containers/process/sandbox.ts';
import {resolverFile, uplinks} from '../../../../reconciler/containers/process/uplink.ts';
import type {Container, ContainerProvider} from '../../../../reconciler/containers/provider.ts';
import {systemClock} from '../../../../runtime/platform/clock.ts';
import {overSocket, until} from '../../../contract/container-provider.ts';
import {levelSkipReason} from '../../../helpers/level-available.ts';
import {processWorld} from '../../../helpers/process-provider-world.ts';

const test = ((await levelSkipReason('network')) === null ? anyTest : anyTest.skip) as TestFn;

/** Address by which this host is reached from elsewhere. */
const outerAddress = Object.values(networkInterfaces())
  .flat()
  .find(
    (address) => address?.family === 'IPv4' && !address.internal && address.mac !== '00:00:00:00:00:00',
  )?.address;

async function started(provider: ContainerProvider, name: string): Promise<Container> {
  const {id} = await provider.create({name, labels: {}});
  return await provider.start(id);
}

/** A server of the host that answers every connection with `text`. */
async function serve(t: ExecutionContext, hostname: string, text: string): Promise<number> {
  const server = createServer(
    (socket) => void socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${text}`),
  );
  server.listen(0, hostname);
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test("localhost and the kits' names on port 80 are the container's own services, in several at once", async (t) => {
  const {provider} = await processWorld(t, 'network');
  const [one, two] = await Promise.all([started(provider, 'one'), started(provider, 'two')]);
  for (const container of [one, two]) {
    t.is(container.kitUrl, 'http://127.0.0.1:80');
    for (const name of ['localhost', 'hoody-cron', 'hoody-exec', 'hoody-pipe', 'hoody-notifications']) {
      t.is(await overSocket(container, '/run', `curl -fsS http://${name}/id`), container.id, name);
    }
  }
});

test("with a domain its kits are the container's own services too", async (t) => {
  const {provider} = await processWorld(t, 'network', {domain: 'hoody.example'});
  const container = await started(provider, 'main');
  for (const kit of ['cron', 'exec', 'pipe', 'notifications']) {
    t.is(await overSocket(container, '/run', `curl -fsS http://${kit}.hoody.example/id`), container.id, kit);
  }
  t.is(await overSocket(container, '/run', 'getent hosts other.hoody.example'), '');
});

test("a job reaches the world outside of its host, and nothing of the host's loopback by any name", async (t) => {
  const {provider} = await processWorld(t, 'network');
  const container = await started(provider, 'main');
  const loopback = await serve(t, '127.0.0.1', 'secret of the host');
  for (const name of ['127.0.0.1', 'localhost', '10.0.2.2', '10.0.2.3', '127.64.0.1', '0.0.0.0', '[::1]']) {
    const command = `curl -sS -m 5 http://${name}:${loopback}/ 2>&1`;
    t.notRegex(await overSocket(container, '/run', command), /secret of the host/, name);
  }
  if (outerAddress === undefined) {
    t.log('this host has no address but its loopback');
    return;
  }
  const resolver = await overSocket(container, '/run', 'cat /etc/resolv.conf');
  if (!resolver.includes('10.0.2.3')) {
    t.log("pasta gives the namespace this host's own address, so that nothing here is outside of it");
    return;
  }
  const outside = await serve(t, outerAddress, 'the world');
  t.is(await overSocket(container, '/run', `curl -sS http://${outerAddress}:${outside}/`), 'the world');
});

test('a job cannot change its network, and the sockets of the host without a file are not its', async (t) => {
  const {provider} = await processWorld(t, 'network');
  const container = await started(provider, 'main');
  for (const attempt of ['ip link set lo down', 'ip addr add 10.9.9.9/32 dev lo', 'ip route del default']) {
    t.is(
      await overSocket(container, '/run', `command -v ip >/dev/null; ${attempt} 2>/dev/null && echo worked`),
      '',
      attempt,
    );
  }
  t.is(await overSocket(container, '/run', 'grep -c @ /proc/net/unix'), '0\n');
});

test('a container whose uplink ends gets another and is not restarted', async (t) => {
  const {provider, stateDirectory} = await processWorld(t, 'network');
  t.teardown(provider.watch(() => t.fail('it was reported as ended')));
  const container = await started(provider, 'main');
  const read = async () =>
    JSON.parse(await readFile(join(stateDirectory, 'containers', container.id, 'container.json'), 'utf8'))
      .process;
  const before = await read();
  if (before.uplink === null) {
    t.log('this uplink does not tell who it is');
    return;
  }
  process.kill(before.uplink.pid, 'SIGKILL');
  await until(async () => (await read()).uplink.pid !== before.uplink.pid);
  t.deepEqual((await read()).runtime, before.runtime);
  t.regex(await overSocket(container, '/run', 'cat /proc/net/route'), /\t00000000\t/);
  const {pid} = (await read()).uplink;
  await provider.remove(container.id);
  t.throws(() => process.kill(pid, 0), {code: 'ESRCH'});
});

for (const uplink of uplinks) {
  test(`a network namespace is connected by ${uplink.program}`, async (t) => {
    const found = await findSandbox('/nowhere');
    if ('reason' in found) return t.fail(found.reason);
    const connected = await findNetwork(found.sandbox, systemClock, [uplink]);
    if ('reason' in connected && Bun.which(uplink.program) === null) {
      t.log(`SKIP ${connected.reason}`);
      return t.regex(connected.reason, /is not installed/);
    }
    return t.like(connected, {sandbox: {uplink}});
  });
}

for (const uplink of uplinks) {
  test(`${uplink.program} leaves the network namespaces that others keep below /run as they are`, async (t) => {
    if (process.getuid?.() !== 0 || Bun.which(uplink.program) === null)
      return t.pass('others can take no mount away, or there is no such program');
    const found = await findSandbox('/nowhere');
    if ('reason' in found) return t.fail(found.reason);
    // As `ip netns add` and engines keep theirs: a mount below one that is shared.
    const directory = await mkdtemp('/run/bt-netns-');
    const kept = join(directory, 'kept');
    await writeFile(kept, '');
    const mount = (...words: string[]) => t.is(Bun.spawnSync(['mount', ...words]).exitCode, 0);
    t.teardown(async () => {
      for (const path of [kept, directory]) Bun.spawnSync(['umount', '-l', path]);
      await rm(directory, {recursive: true});
    });
    mount('--bind', directory, directory);
    mount('--make-shared', directory);
    mount('--bind', '/proc/self/ns/net', kept);
    const isKept = async () => (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${kept} `);
    t.true(await isKept());
    t.false('reason' in (await findNetwork(found.sandbox, systemClock, [uplink])));
    return t.true(await isKept());
  });
}

test('the resolver of a namespace keeps search and options of the host and none of its servers', (t) => {
  const [uplink] = uplinks;
  if (uplink === undefined) return t.fail();
  const text = resolverFile(
    '# of the host\nsearch a.example b.example\nnameserver 127.0.0.53\noptions edns0\n',
    uplink,
  );
  return t.is(text, 'nameserver 10.0.2.3\nsearch a.example b.example\noptions edns0\n');
});
