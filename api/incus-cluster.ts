import * as z from 'zod';
import {AppError} from '../schemas/errors.ts';

/** As the server answers `/1.0/cluster/members?recursion=1`. */
export const clusterMembersSchema = z.array(
  z.object({
    server_name: z.string(),
    status: z.string().default(''),
    groups: z
      .array(z.string())
      .nullish()
      .transform((groups) => groups ?? []),
  }),
);
export type ClusterMembers = z.infer<typeof clusterMembersSchema>;

/** As the server answers `/1.0/cluster/groups?recursion=1`. */
export const clusterGroupsSchema = z.array(z.object({name: z.string()}));

/** Why nothing can be placed at `target`, a member or `@` and a group; null where that is not the reason. */
export function targetProblem(
  target: string,
  {
    address,
    members,
    groups,
  }: {readonly address: string; readonly members: ClusterMembers; readonly groups: readonly string[]},
): AppError | null {
  const names = members.map((member) => member.server_name);
  const isGroup = target.startsWith('@');
  if (isGroup ? !groups.includes(target.slice(1)) : !names.includes(target)) {
    const known = [...names, ...groups.map((group) => `@${group}`)].join(', ');
    return new AppError(
      'CONFIG_INVALID',
      `The cluster at ${address} has no ${isGroup ? 'group' : 'member'} ${target}, which is \`incus.target\` of branchtab.yaml. It has: ${known}.`,
    );
  }
  const meant = members.filter(({server_name, groups: of}) =>
    isGroup ? of.includes(target.slice(1)) : server_name === target,
  );
  if (meant.length === 0) {
    return new AppError(
      'CONFIG_INVALID',
      `The group ${target} of the cluster at ${address}, which is \`incus.target\` of branchtab.yaml, has no members. Add some there.`,
    );
  }
  if (meant.some(isOnline)) return null;
  const away = meant.map((member) => member.server_name).join(', ');
  return new AppError(
    'PROVIDER_UNAVAILABLE',
    `Nothing can be placed at ${target}, which is \`incus.target\` of branchtab.yaml: of the cluster at ${address} ${away} does not answer. Bring a member back, or name another target.`,
  );
}

export function isOnline({status}: ClusterMembers[number]): boolean {
  return /^online$/i.test(status);
}
