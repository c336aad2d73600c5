import type {ForgeStatus} from '../schemas/delivery.ts';

/** What is asked of the forge and left to be told it, in the text form that Prometheus reads; empty without a forge. */
export function forgeMetrics(status: ForgeStatus | null): string {
  if (status === null) return '';
  const {budget, reports} = status;
  const resetsAt = budget.resets_at === null ? null : Date.parse(budget.resets_at) / 1000;
  return [
    ...metric('requests_total', 'counter', 'Requests to GitHub.', budget.requests),
    ...metric(
      'not_modified_total',
      'counter',
      'Requests that cost nothing of the limit.',
      budget.not_modified,
    ),
    ...metric('failures_total', 'counter', 'Requests that failed.', budget.failures),
    ...metric('limited_total', 'counter', 'Requests refused since the limit was spent.', budget.limited),
    ...metric('limit', 'gauge', 'Requests that GitHub allows.', budget.limit),
    ...metric('remaining', 'gauge', 'Requests that GitHub still allows.', budget.remaining),
    ...metric('resets_at_seconds', 'gauge', 'When the limit begins anew, Unix time.', resetsAt),
    ...metric('reports_waiting', 'gauge', 'Reports that GitHub does not have yet.', reports.waiting),
  ].join('');
}

/** None before there is a value. */
function metric(name: string, type: 'counter' | 'gauge', help: string, value: number | null): string[] {
  if (value === null) return [];
  const full = `branchtab_github_${name}`;
  return [`# HELP ${full} ${help}\n`, `# TYPE ${full} ${type}\n`, `${full} ${value}\n`];
}
