#include "base/cgroup.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace pylstm {
namespace {

bool lists(const std::string& names, const std::string& name) {
  return ("," + names + ",").find("," + name + ",") != std::string::npos;
}

void add_groups(const std::string& mount, std::string path, std::vector<std::string>& folders) {
  if ((path + "/").find("/../") != std::string::npos) path.clear();  // of another namespace: it cannot be seen
  while (path.size() > 1) {
    folders.push_back(mount + path);
    path.erase(path.rfind('/'));
  }
  folders.push_back(mount);
}

}  // namespace

std::vector<std::string> cgroup_folders(const std::string& controller, const std::string& membership,
                                        const std::string& root) {
  std::vector<std::string> folders;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // number:controllers:path; of version 2 0::path
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (path.empty() || path.front() != '/') continue;
    if (names.empty()) {
      add_groups(root, path, folders);
    } else if (lists(names, controller)) {
      add_groups(root + "/" + names, path, folders);
      if (names != controller) add_groups(root + "/" + controller, path, folders);
    }
  }
  return folders;
}

std::vector<std::string> cgroup_folders(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  return cgroup_folders(controller, {std::istreambuf_iterator<char>(file), {}}, "/sys/fs/cgroup");
}

int cores_of_quota(const std::string& quota, const std::string& period) {
  constexpr double kUnlimited = 1 << 20;
  const double allowed = std::atof(quota.c_str()), of = std::atof(period.c_str());
  if (!(allowed > 0 && of > 0)) return static_cast<int>(kUnlimited);
  return static_cast<int>(std::min(kUnlimited, std::max(1.0, std::ceil(allowed / of))));
}

int quota_cores(const std::vector<std::string>& folders) {
  int cores = cores_of_quota("max", "");
  for (const std::string& folder : folders) {
    std::string quota, period;
    if (std::ifstream file(folder + "/cpu.max"); file) {
      file >> quota >> period;
    } else {
      std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
      std::ifstream(folder + "/cpu.cfs_period_us") >> period;
    }
    cores = std::min(cores, cores_of_quota(quota, period));
  }
  return cores;
}

}  // namespace pylstm
