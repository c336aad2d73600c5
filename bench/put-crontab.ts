import type {LoneRuntime} from './lone-runtime.ts';

/** Replaces root's crontab as the controller does. It is active when this resolves. */
export async function putCrontab({url}: LoneRuntime, text: string): Promise<void> {
  const response = await fetch(`${url}/users/root/crontab`, {
    method: 'PUT',
    headers: {'Content-Type': 'text/plain', Prefer: 'return=minimal'},
    body: text,
  });
  if (!response.ok) throw new Error(`PUT answered ${response.status}: ${await response.text()}`);
  await response.text();
}
