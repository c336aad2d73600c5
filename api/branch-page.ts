import {html} from 'hono/html';
import type {Branch} from '../schemas/branch.ts';
import {branchName} from '../schemas/branch-name.ts';

/** The branches as one plain page, for a browser that opened the login link. */
export function branchPage(branches: readonly Branch[]): ReturnType<typeof html> {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="refresh" content="5" />
        <title>Branchtab</title>
        <style>
          body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1c1c1c; }
          table { border-collapse: collapse; width: 100%; }
          th, td { text-align: left; padding: 0.4rem 0.8rem; border-bottom: 1px solid #ddd; vertical-align: top; }
          .bad { color: #a40000; }
          tr:target { background: #fff6d6; }
        </style>
      </head>
      <body>
        <h1>Branches</h1>
        ${
          branches.length === 0
            ? html`<p>No branch has a .hoody directory yet. Run <code>branchtab init</code> in the repository and commit the result.</p>`
            : html`<table>
              <thead>
                <tr><th>Branch</th><th>Commit</th><th>State</th><th>Next run</th><th>Last run</th></tr>
              </thead>
              <tbody>
                ${branches.map(row)}
              </tbody>
            </table>`
        }
      </body>
    </html>`;
}

function row(branch: Branch): ReturnType<typeof html> {
  const ready = branch.conditions.find(({type}) => type === 'Ready');
  return html`<tr id="${branch.key}">
    <td>${branchName(branch)}${branch.live ? ' (live)' : ''}</td>
    <td><code>${branch.observed_revision?.slice(0, 8) ?? ''}</code></td>
    <td class="${ready?.status === 'True' ? '' : 'bad'}">${branch.container?.state ?? 'no container'}: ${ready?.message ?? 'waiting'}</td>
    <td>${branch.next_run?.at ?? ''}</td>
    <td>${branch.last_run === null ? '' : `${branch.last_run.status} ${branch.last_run.scheduled_at}`}</td>
  </tr>`;
}
