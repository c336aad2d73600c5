import type {ActiveCall, MonitorStats, ScriptMetrics, ScriptSort} from '../../schemas/exec-operations.ts';
import {readProcessFacts} from '../platform/process-facts.ts';
import type {ExecEngine} from './management.ts';
import type {Scheduling} from './scheduling.ts';

/** Numbers about calls since the runtime started. */
export interface MonitorReport {
  stats(): Promise<MonitorStats>;
  active(): ActiveCall[];
  scripts(options: {limit: number; sort: ScriptSort}): ScriptMetrics[];
  /** Null for a script that was not called. */
  script(scriptPath: string): ScriptMetrics | null;
  /** In the text form that Prometheus reads. */
  metrics(): Promise<string>;
}

export function createMonitorReport(
  {
    store,
    monitor,
    websockets,
    hosts,
    clock,
  }: Pick<ExecEngine, 'store' | 'monitor' | 'websockets' | 'hosts' | 'clock'>,
  schedules: Pick<Scheduling, 'list' | 'runningCount'>,
): MonitorReport {
  async function stats(): Promise<MonitorStats> {
    const {memory} = await readProcessFacts();
    return {
      uptime: Math.max(0, clock.now() - monitor.startedMs) / 1000,
      memory: {...memory},
      cache: {scripts: store.current()?.files.length ?? 0, versions: store.versions().length},
      requests: monitor.totals(),
      websocket: {active: websockets.openCount()},
      cron: {schedules: schedules.list().length, running: schedules.runningCount()},
      hosts: hosts.count(),
    };
  }

  return {
    stats,
    active: monitor.active,
    scripts: ({limit, sort}) =>
      monitor
        .scripts()
        .toSorted((a, b) => (a[sort] < b[sort] ? 1 : -1))
        .slice(0, limit),
    script: (scriptPath) => monitor.scripts().find((one) => one.scriptPath === scriptPath) ?? null,
    async metrics() {
      return printMetrics(await stats(), monitor.scripts());
    },
  };
}

function printMetrics(stats: MonitorStats, scripts: readonly ScriptMetrics[]): string {
  const family = (name: string, type: 'counter' | 'gauge', help: string, rows: readonly string[]) =>
    rows.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...rows];
  const perScript = (name: string, value: (script: ScriptMetrics) => number) =>
    scripts.map((script) => `${name}{script="${escapeLabel(script.scriptPath)}"} ${value(script)}`);
  const lines = [
    ...family('exec_calls_total', 'counter', 'Calls that were answered.', [
      `exec_calls_total{result="success"} ${stats.requests.success}`,
      `exec_calls_total{result="error"} ${stats.requests.errors}`,
    ]),
    ...family('exec_calls_active', 'gauge', 'Calls without an answer yet.', [
      `exec_calls_active ${stats.requests.activeHttp}`,
    ]),
    ...family('exec_hosts', 'gauge', 'Script hosts that run.', [`exec_hosts ${stats.hosts}`]),
    ...family(
      'exec_script_calls_total',
      'counter',
      'Calls by script.',
      perScript('exec_script_calls_total', ({calls}) => calls),
    ),
    ...family(
      'exec_script_errors_total',
      'counter',
      'Answers with 5xx by script.',
      perScript('exec_script_errors_total', ({errors}) => errors),
    ),
    ...family(
      'exec_script_seconds_total',
      'counter',
      'Time until the answer by script.',
      perScript('exec_script_seconds_total', ({averageMs, calls}) => (averageMs * calls) / 1000),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
