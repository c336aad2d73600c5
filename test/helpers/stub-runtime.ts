/**
 * Stands in for the runtime in tests of container providers. Takes the runtime's arguments, prints the ready
 * line and answers on both listeners. What it does beyond that is told by files in its data directory, so
 * that a test can ask for it without another channel:
 *
 *   stub-mode        `mute` never gets ready, `die` ends at once with a message, `lie` names another pid
 *   stub-stop-ms     how long it takes to stop on SIGTERM
 *
 *   POST /spawn      runs the body with `sh -c` in a session of its own and answers its pid as seen inside
 *   POST /run        runs the body with `sh -c` and answers its standard output
 *   POST /fetch      what it gets from the address in the body
 *   GET  /env        its environment
 *   GET  /id         the container's id, as its arguments name it
 */
import {spawn} from 'node:child_process';
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {chmod, rm} from 'node:fs/promises';
import {connect} from 'node:net';
import {parseArgs} from 'node:util';

if (process.argv[2] === 'connect') {
  // As the runtime does it, for controllers of other machines.
  const socket = connect(process.argv[3] ?? '');
  process.stdin.pipe(socket);
  socket.pipe(process.stdout);
  await new Promise((resolve) => socket.on('close', resolve));
  process.exit(0);
}

const {values} = parseArgs({
  args: process.argv.slice(3),
  options: {
    data: {type: 'string', default: ''},
    home: {type: 'string', default: ''},
    workspace: {type: 'string', default: ''},
    control: {type: 'string', default: ''},
    listen: {type: 'string', default: ''},
    'fallback-port': {type: 'boolean'},
    tz: {type: 'string'},
    container: {type: 'string'},
    'allow-host': {type: 'string', multiple: true},
    'secure-listen': {type: 'string'},
    boot: {type: 'string', default: ''},
    'boot-file': {type: 'string'},
  },
});

function setting(name: string): string {
  const path = `${values.home}/${name}`;
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
}

async function answer(request: Request): Promise<Response> {
  const {pathname} = new URL(request.url);
  if (pathname === '/health') return new Response('ok');
  if (pathname === '/env') return Response.json(process.env);
  if (pathname === '/id') return new Response(values.container);
  if (pathname === '/fetch') return await fetch(await request.text());
  if (pathname === '/spawn') {
    const child = spawn('setsid', ['sh', '-c', await request.text()], {cwd: values.home, stdio: 'ignore'});
    return new Response(String(child.pid));
  }
  if (pathname === '/run') {
    const child = Bun.spawn(['sh', '-c', await request.text()], {
      cwd: values.home,
      stdout: 'pipe',
      stderr: 'pipe',
    });
    return new Response(await new Response(child.stdout).text());
  }
  return new Response('not found', {status: 404});
}

const mode = setting('stub-mode');
if (mode === 'die') {
  console.error('stub: the disk is on fire');
  process.exit(3);
}
process.on('SIGTERM', () => {
  writeFileSync(`${values.home}/stopped-on-sigterm`, 'yes');
  setTimeout(() => process.exit(0), Number(setting('stub-stop-ms') || 0));
});
const bootFile = values['boot-file'];
writeFileSync(
  `${values.home}/boot-mark`,
  bootFile === undefined ? values.boot : readFileSync(bootFile, 'utf8'),
);

const socket = values.control.replace(/^unix:/, '');
await rm(socket, {force: true});
Bun.serve({unix: socket, fetch: answer});
await chmod(socket, 0o600);
const [hostname = '', port = '0'] = values.listen.split(':');
let kits: {port?: number | undefined};
try {
  kits = Bun.serve({hostname, port: Number(port), fetch: answer});
} catch {
  kits = Bun.serve({hostname, port: 0, fetch: answer});
}
if (mode !== 'mute') {
  const pid = mode === 'lie' ? process.pid + 100_000 : process.pid;
  const kitUrl = `http://${hostname}:${kits.port}`;
  process.stdout.write(
    `${JSON.stringify({ready: true, pid, kit_url: kitUrl, runtime_version: '0.0.1-stub'})}\n`,
  );
}
