import test, {type ExecutionContext} from 'ava';
import {startRuntime} from '../../helpers/runtime-process.ts';

/** What scripts may do to the one that runs them. Each is called beside a call that must be answered. */
const hostile: Readonly<Record<string, string>> = {
  'ends its process': 'process.kill(process.pid, "SIGKILL"); await 1;',
  'aborts its process': 'process.abort();',
  'ends its process in spite of us': 'process.reallyExit(7);',
  'recurses without end': 'const again = () => again() + 1; return again();',
  'throws nothing': 'throw undefined;',
  'throws what throws when it is looked at':
    'throw new Proxy({}, {get() { throw new Error("trap"); }, getPrototypeOf() { throw new Error("trap"); }});',
  'throws an error with a message that throws':
    'throw Object.defineProperty(new Error("x"), "message", {get() { throw new Error("trap"); }});',
  'throws an error with 10 MB in its message': 'throw new Error("x".repeat(10_000_000));',
  'answers with what throws as JSON': 'return {toJSON() { throw new Error("no"); }};',
  'answers with a large number': 'return {n: 10n};',
  'answers with a symbol': 'return Symbol("x");',
  'answers with a status that is none': 'res.statusCode = 9999; return "x";',
  'answers with a header that ends the head': 'res.setHeader("x-a", "1\\r\\nx-b: 2"); return "x";',
  'answers with 300 KB of headers': 'res.setHeader("x-a", "y".repeat(300_000)); return "x";',
  'answers with many headers': 'for (let n = 0; n < 5000; n += 1) res.setHeader("x-" + n, "1"); return "x";',
  'answers with bytes of its own making':
    'res.socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: zz\\r\\n\\r\\n"); res.socket.end();',
  'answers twice': 'res.end("one"); res.end("two"); res.json({three: 3}); return "four";',
  'destroys its answer': 'res.destroy(); return 1;',
  'claims a failure of ours': 'res.setHeader("x-branchtab-failure", "SCRIPT_FAILED"); return "x";',
  'claims the id of another call': 'res.setHeader("x-execution-id", "mine"); return "x";',
  'prints 50 MB': 'for (let n = 0; n < 50; n += 1) console.log("x".repeat(1_000_000)); return 1;',
  'writes to every file descriptor':
    'for (let fd = 3; fd < 40; fd += 1) { try { fs.writeSync(fd, "{\\"type\\":\\"ready\\"}\\n\\0garbage"); } catch {} } return 1;',
  'closes every file descriptor':
    'for (let fd = 3; fd < 60; fd += 1) { try { fs.closeSync(fd); } catch {} } return 1;',
  'replaces what the host needs':
    'globalThis.Promise = null; JSON.stringify = () => { throw 1; }; Array.prototype.map = null; process.on = null; return 1;',
  'removes its own sockets':
    'for (const name of fs.readdirSync(path.dirname(path.dirname(process.cwd())))) if (name.startsWith("exec-")) fs.rmSync(name, {force: true}); return 1;',
  'leaves a rejection and a timer that throws':
    'Promise.reject(new Error("left")); setTimeout(() => { throw new Error("late"); }, 1); return 1;',
  'takes the way to its parent': 'process.disconnect?.(); process.send?.({type: "ready"}); return 1;',
  'spins beyond its time': 'while (true);',
  'waits beyond its time': 'await new Promise(() => {});',
};

test('whatever a script does, the runtime goes on and the next call is answered', async (t) => {
  const {url, pid} = await startRuntime(t);
  await write(t, url, 'fine.ts', 'return "fine";');
  for (const [index, text] of Object.values(hostile).entries())
    await write(t, url, `h${index}.ts`, `// @timeout 400\n${text}`);
  for (const [index, what] of Object.keys(hostile).entries()) {
    const answer = await fetch(`${url}/h${index}`).then(
      async (response) => ({
        id: response.headers.get('x-execution-id'),
        injected: response.headers.get('x-b'),
        text: await response.text().catch(() => 'broken off'),
      }),
      () => null,
    );
    if (answer !== null) {
      t.regex(answer.id ?? '', /^[0-9a-f-]{36}$/, what);
      t.is(answer.injected, null, what);
    }
    t.is(await fine(url), 'fine', what);
  }
  t.notThrows(() => process.kill(pid, 0));
});

/** A call that had begun in a host which another script ends is told so; whoever calls again is answered. */
async function fine(url: string): Promise<string> {
  const response = await fetch(`${url}/fine`);
  const text = await response.text();
  return response.status === 503 ? fine(url) : text;
}

async function write(t: ExecutionContext, url: string, path: string, content: string): Promise<void> {
  const response = await fetch(`${url}/api/v1/exec/scripts/write`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({path, content}),
  });
  t.is(response.status, 200, await response.text());
}
