// What the control groups (cgroups) of Linux allow this process.
#pragma once

#include <string>
#include <vector>

namespace pylstm {

// Where the limits of `controller`, "cpu" or "memory", may be: folders of the groups that a process is in, from its own
// up to the root, each of which limits those below, of versions 1 and 2. Folders need not exist: a container may see
// its own group as the root. membership: the text of /proc/PID/cgroup; root: where groups are mounted.
std::vector<std::string> cgroup_folders(const std::string& controller, const std::string& membership,
                                        const std::string& root);
std::vector<std::string> cgroup_folders(const std::string& controller);  // of this process

// Cores that the smallest quota in these folders pays for, rounded up, >= 1; very many without one.
int quota_cores(const std::vector<std::string>& folders);

// The same of one quota, in microseconds like its period, as their files have them; "max", "-1" or no text: none.
int cores_of_quota(const std::string& quota, const std::string& period);

}  // namespace pylstm
