import test, {type ExecutionContext} from 'ava';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

interface Expected {
  readonly files: Readonly<Record<string, string>>;
  /** Calls one after the other, with what each answers. */
  readonly calls: readonly (readonly [target: string, answer: unknown])[];
}

const answers = test.macro(async (t: ExecutionContext, {files, calls}: Expected) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(deploymentOf(files));
  for (const [target, answer] of calls) {
    const text = await (await call(target)).text();
    t.deepEqual(JSON.parse(text), answer, `${target}: ${text}`);
  }
});

for (const name of ['globalThis', 'global', 'self']) {
  test(`${name} is fresh in each call`, answers, {
    files: {'a.ts': `${name}.x ??= 0; return ++${name}.x;`},
    calls: [
      ['/a', 1],
      ['/a', 1],
      ['/a', 1],
    ],
  });
}

test('with @mode worker globalThis is kept, and nobody else sees it', answers, {
  files: {
    'worker.ts': '// @mode worker\nglobalThis.x ??= 0; return ++globalThis.x;',
    'other.ts': '// @mode worker\nreturn ++globalThis.x;',
    'a.ts': 'globalThis.x ??= 0; return ++globalThis.x;',
  },
  calls: [
    ['/worker', 1],
    ['/worker', 2],
    ['/a', 1],
    ['/other', 3],
    ['/a', 1],
    ['/worker', 4],
  ],
});

test('what is set on it has its bare name too, through awaits and timers, in this call alone', async (t) => {
  const {exec, call} = await execWorld(t);
  await exec.deploy(
    deploymentOf({
      'a.js': `globalThis.mine = metadata.query.n;
        await new Promise((resolve) => { (shared.waiting ??= []).push(resolve); if (shared.waiting.length === 3) for (const go of shared.waiting) go(); });
        const later = await new Promise((resolve) => setTimeout(() => resolve(mine), 1));
        mine += '!';
        return [later, globalThis.mine, mine];`,
      'b.js': 'globalThis.other = 1; return [typeof mine, "mine" in globalThis];',
    }),
  );
  const three = await Promise.all(['1', '2', '3'].map(async (n) => (await call(`/a?n=${n}`)).json()));
  t.deepEqual(three, [
    ['1', '1!', '1!'],
    ['2', '2!', '2!'],
    ['3', '3!', '3!'],
  ]);
  t.deepEqual(await (await call('/b')).json(), ['undefined', false]);
});

test('it has everything that the global object has, and works like it', answers, {
  files: {
    'a.ts': `const byTimer = await new Promise((resolve) => globalThis.setTimeout(() => resolve('timer'), 1));
      globalThis.queueMicrotask(() => {});
      globalThis.dispatchEvent(new Event('x'));
      const own = Object.getOwnPropertyDescriptor(globalThis, 'self')?.value ?? Object.getOwnPropertyDescriptor(globalThis, 'globalThis').value;
      return [
        globalThis.fetch === fetch, globalThis.Array === Array, byTimer,
        typeof globalThis.crypto.randomUUID(), typeof globalThis.performance.now(), typeof globalThis.navigator.userAgent,
        globalThis === globalThis.globalThis && globalThis === global && globalThis === self && globalThis === own,
        globalThis.metadata.path, globalThis.process === process, globalThis.structuredClone([1]),
        'fetch' in globalThis, 'nothing' in globalThis, globalThis.nothing === undefined,
        Object.hasOwn(globalThis, 'fetch'), globalThis.hasOwnProperty('Array'), Object.keys(globalThis).length > 0,
        Object.getOwnPropertyNames(globalThis).includes('Promise'), globalThis instanceof Object, String(globalThis).length > 0,
      ];`,
  },
  calls: [
    [
      '/a',
      [
        ...[true, true, 'timer', 'string', 'number', 'string', true, '/a', true, [1]],
        ...[true, false, true, true, true, true, true, true, true],
      ],
    ],
  ],
});

test('what is defined, deleted or replaced there concerns this call alone', answers, {
  files: {
    'a.ts': `globalThis.fetch = 'mine';
      Object.defineProperty(globalThis, 'fixed', {value: 1});
      Object.assign(globalThis, {one: 1, two: 2});
      delete globalThis.one; delete globalThis.Array;
      return [globalThis.fetch, globalThis.fixed, globalThis.one ?? null, globalThis.two, Object.keys(globalThis).includes('two'), typeof Array];`,
    'b.ts': `return [typeof globalThis.fetch, typeof fetch, 'fixed' in globalThis, 'two' in globalThis, typeof globalThis.Array];`,
  },
  calls: [
    ['/a', ['mine', 1, null, 2, true, 'function']],
    ['/b', ['function', 'function', false, false, 'function']],
    ['/a', ['mine', 1, null, 2, true, 'function']],
  ],
});

test('pre, script and post of a call have one', answers, {
  files: {
    'pre.ts': 'globalThis.trace = ["pre"];',
    'a.ts': 'globalThis.trace.push("script"); return 1;',
    'post.ts': 'return globalThis.trace;',
  },
  calls: [
    ['/a', ['pre', 'script']],
    ['/a', ['pre', 'script']],
  ],
});

test('its names may be declared and imported by the author', answers, {
  files: {
    'a.ts': 'const self = 1, global = 2; let globalThis = 3; return self + global + globalThis;',
    'b.ts': "import {self} from './self.ts'; return [self, globalThis !== undefined];",
    'self.ts': 'export const self = "imported";',
  },
  calls: [
    ['/a', 6],
    ['/b', ['imported', true]],
  ],
});

test('modules, and what scripts import, have the one of the host', answers, {
  files: {
    'module.ts':
      'export default () => { globalThis.count = (globalThis.count ?? 0) + 1; return globalThis.count; };',
    'a.ts': "import {count} from './lib/count.ts'; return [count(), globalThis.imported ?? null];",
    'lib/count.ts': 'export const count = () => (globalThis.imported = (globalThis.imported ?? 0) + 1);',
  },
  calls: [
    ['/module', 1],
    ['/module', 2],
    ['/a', [1, null]],
    ['/a', [2, null]],
  ],
});

test('top-level variables of a body are new in each call', answers, {
  files: {'a.ts': 'let count = 0; var other = 0; return [++count, ++other];'},
  calls: [
    ['/a', [1, 1]],
    ['/a', [1, 1]],
  ],
});
