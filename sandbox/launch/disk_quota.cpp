#include "sandbox/launch/disk_quota.h"

#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/launch/user_namespace.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kLastProject = kRangeFirst + kRangeCount * kRangeSize - 1;
constexpr std::uint64_t kQuotaBlock = 1024;  // QIF_DQBLKSIZE: the unit of limits

int quota(int directory, unsigned command, std::uint32_t project, void* argument) {
  return static_cast<int>(::syscall(SYS_quotactl_fd, directory, QCMD(command, PRJQUOTA), project, argument));
}

Result<if_dqblk> read_quota(int directory, std::uint32_t project) {
  if_dqblk block{};
  if (quota(directory, Q_GETQUOTA, project, &block) != 0) {
    if (errno == ENOENT || errno == ESRCH) return if_dqblk{};  // XFS: nothing is known of it
    return errno_error("read quota of project", std::to_string(project));
  }
  return block;
}

Result<> set_limits(int directory, std::uint32_t project, const DiskLimits& limits) {
  if_dqblk block{};
  block.dqb_bhardlimit = block.dqb_bsoftlimit = (limits.bytes + kQuotaBlock - 1) / kQuotaBlock;
  block.dqb_ihardlimit = block.dqb_isoftlimit = limits.inodes;
  block.dqb_valid = QIF_LIMITS;
  if (quota(directory, Q_SETQUOTA, project, &block) != 0)
    return errno_error("set quota of project", std::to_string(project));
  return {};
}

// Of if_dqblk and if_nextdqblk.
template <class Block>
bool bounds_nothing(const Block& block) {
  const bool bounded = block.dqb_bhardlimit != 0 || block.dqb_ihardlimit != 0;
  return bounded && block.dqb_curinodes == 0 && block.dqb_curspace == 0;
}

}  // namespace

bool enforces_project_quota(int directory) {
  fs_quota_statv state{};
  state.qs_version = FS_QSTATV_VERSION1;
  if (quota(directory, Q_XGETQSTATV, 0, &state) != 0) return false;
  return (state.qs_flags & FS_QUOTA_PDQ_ACCT) != 0 && (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

Result<> bound_by_project(int directory, std::uint32_t range, const DiskLimits& limits) {
  std::uint32_t project = 0;
  for (std::uint32_t offset = 0; offset < kRangeSize && project == 0; ++offset) {
    BULKHEAD_ASSIGN(const if_dqblk used, read_quota(directory, range + offset));
    if (used.dqb_curinodes == 0 && used.dqb_curspace == 0) project = range + offset;
  }
  if (project == 0) return fail("bound disk", std::to_string(range), "every project of its range is in use");
  BULKHEAD_TRY(set_limits(directory, project, limits));
  fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0) return errno_error("read attributes of", "disk");
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(directory, FS_IOC_FSSETXATTR, &attributes) != 0) {
    auto error = errno_error("set project of", "disk");
    (void)lift_project(directory, project);
    return error;
  }
  return {};
}

Result<std::uint32_t> project_of(int directory) {
  fsxattr attributes{};
  if (::ioctl(directory, FS_IOC_FSGETXATTR, &attributes) != 0) {
    if (errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL) return 0;  // a file system without projects
    return errno_error("read attributes of", "disk");
  }
  return attributes.fsx_projid;
}

bool is_project_of_ours(std::uint32_t project) { return project >= kRangeFirst && project <= kLastProject; }

Result<DiskLimits> project_limits(int directory, std::uint32_t project) {
  BULKHEAD_ASSIGN(const if_dqblk block, read_quota(directory, project));
  return DiskLimits{.bytes = block.dqb_bhardlimit * kQuotaBlock, .inodes = block.dqb_ihardlimit};
}

Result<DiskUsage> project_usage(int directory, std::uint32_t project) {
  BULKHEAD_ASSIGN(const if_dqblk block, read_quota(directory, project));
  const std::uint64_t bytes = block.dqb_bhardlimit * kQuotaBlock;
  return DiskUsage{.bytes = block.dqb_curspace,
                   .inodes = block.dqb_curinodes,
                   .bytes_full = bytes != 0 && block.dqb_curspace + disk_slack(bytes) > bytes,
                   .inodes_full = block.dqb_ihardlimit != 0 && block.dqb_curinodes >= block.dqb_ihardlimit};
}

Result<> lift_project(int directory, std::uint32_t project) { return set_limits(directory, project, {}); }

Result<bool> is_abandoned(int directory, std::uint32_t project) {
  BULKHEAD_ASSIGN(const if_dqblk block, read_quota(directory, project));
  return bounds_nothing(block);
}

std::vector<std::uint32_t> abandoned_projects(int directory) {
  std::vector<std::uint32_t> found;
  if_nextdqblk block{};
  for (std::uint32_t from = kRangeFirst; quota(directory, Q_GETNEXTQUOTA, from, &block) == 0; from = block.dqb_id + 1) {
    if (block.dqb_id > kLastProject) break;
    if (bounds_nothing(block)) found.push_back(block.dqb_id);
    if (block.dqb_id == kLastProject) break;
  }
  return found;
}

}  // namespace bulkhead
