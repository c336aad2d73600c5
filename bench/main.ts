import {changedBench} from './changed.ts';
import {cloneBench} from './clone.ts';
import {cronBench} from './cron.ts';
import {crowdBench, densityBench} from './density.ts';
import {execBench} from './exec.ts';
import {gatewayBench} from './gateway.ts';
import {idleBench} from './idle.ts';
import {latenessBench} from './lateness.ts';
import {pipeBench} from './pipe.ts';
import {pushBench} from './push.ts';
import {type BenchResult, resultTable} from './result.ts';
import {resyncBench} from './resync.ts';
import {webhookBench} from './webhook.ts';

/**
 * `npm run bench [-- --only NAME] [-- --json]`. A slow figure is a figure, not a failure: the exit code is 0
 * unless a bench could not run.
 */
const benches = [
  pushBench,
  webhookBench,
  resyncBench,
  changedBench,
  idleBench,
  cronBench,
  latenessBench,
  execBench,
  pipeBench,
  gatewayBench,
  cloneBench,
  densityBench,
  crowdBench,
];

const usage = `Usage: npm run bench [-- --only NAME] [-- --json]
${benches.map(({name, summary}) => `  ${name.padEnd(8)} ${summary}\n`).join('')}`;

async function main(words: readonly string[]): Promise<number> {
  const {only, json, help, wrong} = parse(words);
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const chosen = benches.filter(({name}) => only.length === 0 || only.includes(name));
  const unknown = only.find((name) => !benches.some((bench) => bench.name === name));
  if (wrong !== null || unknown !== undefined) {
    process.stderr.write(`bench: ${wrong ?? `no bench ${JSON.stringify(unknown)}`}\n${usage}`);
    return 2;
  }
  const ends: (() => unknown)[] = [];
  const endAll = async () => {
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void endAll().then(() => process.exit(130)));
  const results: BenchResult[] = [];
  try {
    for (const {name, run} of chosen) {
      const progress = (text: string) => {
        if (process.stderr.isTTY) process.stderr.write(`${name}: ${text}\n`);
      };
      results.push(await run({progress, teardown: (end) => ends.push(end)}));
      progress('cleaning up');
      await endAll();
    }
  } finally {
    await endAll();
  }
  process.stdout.write(
    json
      ? `${JSON.stringify({results: results.map(({name, values, figures}) => ({name, ...values, figures}))}, null, 2)}\n`
      : `${resultTable(results)}${results.map(notesOf).join('')}`,
  );
  return 0;
}

function notesOf({name, notes}: BenchResult): string {
  return `\n${name}\n${notes.map((note) => `  ${note}\n`).join('')}`;
}

function parse(words: readonly string[]): {
  only: string[];
  json: boolean;
  help: boolean;
  wrong: string | null;
} {
  const parsed = {only: [] as string[], json: false, help: false, wrong: null as string | null};
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--json') parsed.json = true;
    else if (word === '--help') parsed.help = true;
    else if (word === '--only') {
      const name = rest.shift();
      if (name === undefined) parsed.wrong = '--only needs a name';
      else parsed.only.push(name);
    } else parsed.wrong = `unknown word ${JSON.stringify(word)}`;
  }
  return parsed;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
});
